//! How long allocations take on one thread while another scrapes the heap profile in a loop. Four phases take turns:
//!
//! ```text
//! idle      nobody else does anything
//! idle      again: the A/A control
//! busy      the other thread computes, without allocating: what the second core does to the first
//! scraping  the other thread captures and writes profiles of 10 000 buckets
//! ```
//!
//! Arguments: rounds, and milliseconds of a phase. Prints a line for each: name, allocations, p50, p99, p99.9, maximum in
//! nanoseconds, stalls above a millisecond, and those that the thread did not spend waiting for a processor; then the number
//! of scrapes and the buckets of the last.

use std::env;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::{
    DEFAULT_SAMPLE_RATE, HeapProfile, ProfiledAllocator, mem_stats, set_sample_rate,
};
use debug_pprof_bench_sides::{Histogram, ProcessorWait, Way, ready};
use work::Random;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// 100 stacks with 100 sizes each: 10 000 buckets.
const STACKS: u64 = 100;
const SIZES: usize = 100;
const FRAMES: u32 = 20;

/// Blocks that the measured thread keeps alive.
const LIVE: usize = 4_096;

#[derive(Clone, Copy)]
enum Neighbour {
    Idle,
    Busy,
    Scraping,
}

const PHASES: [(&str, Neighbour); 4] = [
    ("idle", Neighbour::Idle),
    ("idle again", Neighbour::Idle),
    ("busy", Neighbour::Busy),
    ("scraping", Neighbour::Scraping),
];

/// Allocations after which the wait for a processor is read again: about 5 ms. A wait in that time before a stall excuses it.
const EVERY: u64 = 1 << 17;

/// Whether the measured thread is at work: the neighbour stops with it.
static IS_MEASURED: AtomicBool = AtomicBool::new(false);
static SCRAPES: AtomicU64 = AtomicU64::new(0);

fn main() {
    let numbers: Vec<u64> = env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let [rounds, milliseconds] = numbers.as_slice() else {
        panic!("rounds, and milliseconds of a phase");
    };
    let phase = Duration::from_millis(*milliseconds);
    ready();
    let kept = fill();
    scrape();
    let mut random = Random::new(17);
    let mut live: Vec<Vec<u8>> = (0..LIVE).map(|_| Vec::new()).collect();
    let mut histograms = PHASES.map(|_| Histogram::new());
    for _ in 0..*rounds {
        for ((_, neighbour), histogram) in PHASES.iter().zip(&mut histograms) {
            IS_MEASURED.store(true, Ordering::Relaxed);
            let other = thread::spawn(|| accompany(*neighbour));
            allocate(&mut random, &mut live, phase, histogram);
            IS_MEASURED.store(false, Ordering::Relaxed);
            other.join().expect("no panic");
        }
    }
    for ((name, _), histogram) in PHASES.iter().zip(&histograms) {
        println!("{name};{}", histogram.line());
    }
    println!(
        "{};{}",
        SCRAPES.load(Ordering::Relaxed),
        mem_stats().profiler.buckets
    );
    drop(kept);
}

/// Makes the buckets, each with one block alive.
fn fill() -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(STACKS as usize * SIZES);
    set_sample_rate(1);
    for stack in 0..STACKS {
        for size in 1..=SIZES {
            Way::nth(stack).call(FRAMES, &mut || kept.push(vec![0_u8; black_box(size)]));
        }
    }
    set_sample_rate(DEFAULT_SAMPLE_RATE);
    kept
}

fn accompany(neighbour: Neighbour) {
    while IS_MEASURED.load(Ordering::Relaxed) {
        match neighbour {
            Neighbour::Idle => thread::sleep(Duration::from_millis(1)),
            Neighbour::Busy => compute(),
            Neighbour::Scraping => scrape(),
        }
    }
}

fn scrape() {
    let profile = HeapProfile::capture().expect("the allocator is installed");
    profile
        .write_pprof(std::io::sink())
        .expect("a sink takes all");
    SCRAPES.fetch_add(1, Ordering::Relaxed);
}

/// About what a scrape takes of a core and its caches, without a profiler or an allocator in it.
fn compute() {
    let mut table = [0_u64; 32_768];
    let mut random = Random::new(19);
    for _ in 0..1_000_000 {
        let at = random.below(table.len());
        table[at] = table[at].wrapping_add(random.draw());
    }
    black_box(&table);
}

/// Replaces blocks of 64 B to 4 KiB until `phase` is over, and times each allocation.
fn allocate(random: &mut Random, live: &mut [Vec<u8>], phase: Duration, into: &mut Histogram) {
    let end = Instant::now() + phase;
    let mut wait = ProcessorWait::of_this_thread();
    for nth in 1_u64.. {
        if nth.is_multiple_of(EVERY) {
            wait.since_last();
        }
        let size = black_box(random.size(6, 12));
        let slot = random.below(LIVE);
        live[slot] = Vec::new();
        let start = Instant::now();
        let block = black_box(Vec::<u8>::with_capacity(size));
        let took = start.elapsed();
        into.add(took.as_nanos() as u64, &mut wait);
        live[slot] = block;
        if start > end {
            return;
        }
    }
}
