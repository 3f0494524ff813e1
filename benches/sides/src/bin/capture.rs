//! What a sampled allocation costs, by the depth of its stack. Prints a line for each depth:
//!
//! ```text
//! unwinder
//! frames  one stack: alloc free  many stacks: alloc+free     nanoseconds above an allocation that is not sampled
//! ```
//!
//! Last the cost of a pair of 1 MiB, nearly each sampled at the default rate, on a short stack. The argument is the
//! number of rounds.

use std::alloc::{Layout, alloc, dealloc};
use std::env;
use std::hint::black_box;
use std::time::Instant;

use debug_pprof::{DEFAULT_SAMPLE_RATE, HeapProfile, ProfiledAllocator, set_sample_rate};
use debug_pprof_bench_sides::{Way, ready};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// Blocks that are allocated, then freed, at the end of one stack: so many that the clock is nothing beside them.
const BLOCKS: usize = 64;
/// Different stacks of "many stacks": more code than stays warm between two samples of a service.
const STACKS: u64 = 256;

fn main() {
    let rounds = env::args().nth(1).and_then(|word| word.parse().ok());
    let rounds = rounds.expect("the number of rounds");
    println!("{}", ready());
    let own = frames_at(0);
    for wanted in [10_u32, 30, 60, 120] {
        let depth = wanted.saturating_sub(own);
        let (alloc, free) = one_stack(depth, rounds);
        let many = many_stacks(depth, rounds);
        println!("{} {alloc} {free} {many}", frames_at(depth));
    }
    println!("{}", large(rounds));
}

/// Frames of an allocation under `depth` frames of our own, as the profiler sees them.
fn frames_at(depth: u32) -> u32 {
    // A size that nothing else has, another one for each depth.
    let size = 1_000_003 + depth as usize;
    set_sample_rate(1);
    Way::nth(0).call(depth, &mut || drop(black_box(vec![0_u8; black_box(size)])));
    set_sample_rate(0);
    let profile = HeapProfile::capture().expect("the allocator is installed");
    let mut records = profile.records().iter();
    let record = records.find(|record| record.size() == Some(size));
    record.expect("sampled").stack().count() as u32
}

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// Nanoseconds for an allocation and for a free at the end of the same stack, above one that is not sampled.
fn one_stack(depth: u32, rounds: usize) -> (f64, f64) {
    let mut best = [(f64::INFINITY, f64::INFINITY); 2];
    for _ in 0..rounds {
        for (rate, best) in [0, 1].into_iter().zip(&mut best) {
            set_sample_rate(rate);
            let mut blocks = [std::ptr::null_mut(); BLOCKS];
            Way::nth(0).call(depth, &mut || {
                let start = Instant::now();
                // SAFETY: the size is not 0.
                blocks.fill_with(|| black_box(unsafe { alloc(black_box(LAYOUT)) }));
                let allocated = start.elapsed();
                // SAFETY: allocated just above with this layout, and freed once.
                blocks
                    .iter()
                    .for_each(|block| unsafe { dealloc(*block, LAYOUT) });
                let both = start.elapsed();
                best.0 = best.0.min(allocated.as_nanos() as f64);
                best.1 = best.1.min((both - allocated).as_nanos() as f64);
            });
        }
    }
    let [unsampled, sampled] = best;
    let each = |total: f64| total / BLOCKS as f64;
    (each(sampled.0 - unsampled.0), each(sampled.1 - unsampled.1))
}

/// Nanoseconds for a pair at the end of a stack that is another one each time, above one that is not sampled.
fn many_stacks(depth: u32, rounds: usize) -> f64 {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..rounds {
        for (rate, best) in [0, 1].into_iter().zip(&mut best) {
            set_sample_rate(rate);
            let start = Instant::now();
            (0..STACKS).for_each(|nth| Way::nth(nth).call(depth, &mut pair));
            *best = best.min(start.elapsed().as_nanos() as f64);
        }
    }
    let [unsampled, sampled] = best;
    (sampled - unsampled) / STACKS as f64
}

fn pair() {
    // SAFETY: the size is not 0.
    let block = black_box(unsafe { alloc(black_box(LAYOUT)) });
    // SAFETY: allocated just above with this layout.
    unsafe { dealloc(block, LAYOUT) };
}

/// Nanoseconds that a pair of 1 MiB costs at the default rate above one with sampling off.
fn large(rounds: usize) -> f64 {
    const PAIRS: usize = 1_000;
    let layout = Layout::new::<[u8; 1 << 20]>();
    let mut best = [f64::INFINITY; 2];
    for _ in 0..rounds {
        for (rate, best) in [0, DEFAULT_SAMPLE_RATE].into_iter().zip(&mut best) {
            set_sample_rate(rate);
            let start = Instant::now();
            for _ in 0..PAIRS {
                // SAFETY: the size is not 0.
                let block = black_box(unsafe { alloc(black_box(layout)) });
                // SAFETY: allocated just above with this layout.
                unsafe { dealloc(block, layout) };
            }
            *best = best.min(start.elapsed().as_nanos() as f64);
        }
    }
    (best[1] - best[0]) / PAIRS as f64
}
