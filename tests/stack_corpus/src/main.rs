//! Allocates at every kind of call site, takes the stack of each allocation with `backtrace` beside the profiler, and
//! compares all of them. Prints what it compared; exits with 1 and the stacks that differ.

mod sites;
mod witness;

use std::collections::HashSet;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats, set_sample_rate};

use witness::Witness;

#[global_allocator]
static ALLOC: ProfiledAllocator<Witness> = ProfiledAllocator::new(Witness).sample_every(0);

/// Frames that the witness has on the leaf side and the profiler has not: itself, and the wrapper up to where the two
/// part, in the function that calls both.
const LEAF_FRAMES: usize = 6;

fn main() -> ExitCode {
    // The first profile has the tables made.
    HeapProfile::capture().expect("the allocator is installed");
    while mem_stats().profiler.unwinder != "stack-delta tables" {
        thread::sleep(Duration::from_millis(1));
    }
    witness::start();
    set_sample_rate(1);
    sites::run();
    set_sample_rate(0);
    witness::stop();

    let profile = HeapProfile::capture().expect("the allocator is installed");
    let profiled: HashSet<Vec<usize>> = profile
        .records()
        .iter()
        .map(|record| record.stack().collect())
        .collect();
    let witnessed: HashSet<Vec<usize>> = witness::stacks().map(<[usize]>::to_vec).collect();
    let callers: HashSet<&[usize]> = profiled.iter().filter_map(|stack| stack.get(1..)).collect();
    let endings: HashSet<&[usize]> = witnessed.iter().flat_map(|stack| endings(stack)).collect();

    let mut differences = 0;
    for stack in profiled.iter().filter(|stack| {
        !stack
            .get(1..)
            .is_some_and(|callers| endings.contains(callers))
    }) {
        differences += 1;
        print("only in the profile", stack);
    }
    for stack in witnessed
        .iter()
        .filter(|stack| !endings_in(stack, &callers))
    {
        differences += 1;
        print("only by backtrace", stack);
    }
    let frames: usize = profiled.iter().map(Vec::len).sum();
    let stats = mem_stats().profiler;
    println!(
        "{} stacks, {frames} frames, {differences} differ; {} ended early; tables {} bytes",
        profiled.len(),
        stats.stopped_stacks,
        stats.unwind_table_bytes
    );
    if differences == 0 && stats.stopped_stacks == 0 && profiled.len() > 50 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What may be the profiler's callers in a witnessed stack.
fn endings(stack: &[usize]) -> impl Iterator<Item = &[usize]> {
    (1..=LEAF_FRAMES).filter_map(|skipped| stack.get(skipped..))
}

fn endings_in(stack: &[usize], callers: &HashSet<&[usize]>) -> bool {
    endings(stack).any(|ending| callers.contains(ending))
}

fn print(what: &str, stack: &[usize]) {
    println!("{what}:");
    for frame in stack {
        backtrace::resolve(*frame as *mut _, |symbol| {
            println!("  {frame:#x} {:?}", symbol.name());
        });
    }
}
