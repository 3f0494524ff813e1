//! The bytes between two samples, read off the records of a heap profile, are exponential with the rate as mean, and
//! say nothing about the next or about another thread's. One test, so that no other thread allocates.

mod measured;
mod sampled_gaps;
mod statistics;

use debug_pprof::{ProfiledAllocator, set_sample_rate};
use sampled_gaps::{Gap, Watch};
use statistics::anderson_darling::{assert_uniform, place};
use statistics::{CHANCE, Random, correlation};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

const GAPS: usize = 6_000;
const THREADS: usize = 2_000;
const THREADS_RATE: usize = 65_536;

#[test]
fn gaps_are_exponential_from_outside() {
    let mut random = Random::of_this_run();
    for rate in [512, 4_096, 65_536, 524_288] {
        set_sample_rate(rate);
        let gaps = gaps_of_one_thread();
        check(&format!("gaps at rate {rate}"), &gaps, rate, &mut random);
    }
    set_sample_rate(THREADS_RATE);
    let gaps = first_gaps_of_threads();
    check("first gaps of threads", &gaps, THREADS_RATE, &mut random);
}

fn check(what: &str, gaps: &[Gap], rate: usize, random: &mut Random) {
    let place = |(from, to): &Gap| place(*from, *to, rate as f64, random);
    let places: Vec<f64> = gaps.iter().map(place).collect();
    assert_uniform(what, &places, CHANCE);
    correlation::assert_none(&format!("{what}: neighbours"), &places, 1);
    correlation::assert_none(&format!("{what}: next but one"), &places, 2);
}

fn gaps_of_one_thread() -> Vec<Gap> {
    let mut watch = Watch::new(debug_pprof::sample_rate());
    // Room for what may be added: growing would use up bytes that the watch does not see.
    let mut gaps = Vec::with_capacity(GAPS + 1_000);
    while gaps.len() < GAPS {
        watch.row(|gap| gaps.push(gap));
    }
    // Of the last row only short gaps have ended.
    gaps.truncate(GAPS);
    gaps
}

/// Threads one after the other. What a thread allocates before it gets here does not matter: gaps have no memory.
fn first_gaps_of_threads() -> Vec<Gap> {
    let first = || {
        let mut watch = Watch::new(THREADS_RATE);
        let mut first = None;
        while first.is_none() {
            watch.row(|gap| {
                first.get_or_insert(gap);
            });
        }
        first.expect("a sample")
    };
    let gap = |_| std::thread::spawn(first).join().expect("no panic");
    (0..THREADS).map(gap).collect()
}
