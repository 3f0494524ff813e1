//! Instructions that the profiler adds to an `alloc` and its `dealloc` that are not sampled, counted by callgrind.
//!
//! ```text
//! cargo bench --bench instructions
//! ```
//!
//! Each side runs N and 2N pairs; the difference is N pairs, without the process's start and end. Exact and the same on
//! every run, so this bench fails where the others only report: exit status 1 if the bar is broken.

mod callgrind;
#[path = "../driver/cargo.rs"]
mod cargo;
#[path = "../driver/verdict.rs"]
mod verdict;

use std::process::ExitCode;

use verdict::verdict;

/// Instructions that a pair may cost more: 16 for sampling, 4 for exact counts.
const BAR: f64 = 20.0;

const ALLOCATORS: [&str; 3] = ["system", "jemalloc", "mimalloc"];
const PAIRS: [&str; 3] = [
    "pair 16 B, untouched",
    "pair 64 B, untouched",
    "pair 256 B, untouched",
];

fn main() -> ExitCode {
    if !callgrind::is_installed() {
        eprintln!("valgrind is missing; on Debian and Ubuntu: apt-get install -y valgrind");
        return ExitCode::FAILURE;
    }
    let programs = cargo::build("sides", &[], "");
    println!("\n### Instructions added to an unsampled pair\n");
    println!("| pair | allocator | bare | profiled | added | bar | |");
    println!("|---|---|--:|--:|--:|--:|---|");
    let mut is_within = true;
    for kind in PAIRS {
        for allocator in ALLOCATORS {
            let bare = callgrind::instructions_per_operation(&programs.join(allocator), kind);
            let profiled = programs.join(format!("{allocator}_profiled"));
            let profiled = callgrind::instructions_per_operation(&profiled, kind);
            let added = profiled - bare;
            is_within &= added <= BAR;
            println!(
                "| {kind} | {allocator} | {bare:.2} | {profiled:.2} | {added:.2} | {BAR} | {} |",
                verdict(added <= BAR)
            );
        }
    }
    println!("\nvalgrind --tool=callgrind, exact; nothing is sampled (DEBUG_PPROF_RATE=16 GiB).");
    if is_within {
        ExitCode::SUCCESS
    } else {
        eprintln!("more than {BAR} instructions were added to a pair");
        ExitCode::FAILURE
    }
}
