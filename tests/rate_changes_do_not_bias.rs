//! A rate that changes all the time, by the allocating thread itself or under its feet, biases no estimate: each sample
//! is scaled by the rate that it was taken at.

mod measured;
mod statistics;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use debug_pprof::{ProfiledAllocator, set_sample_rate};
use measured::{Block, allocated, growth, in_use};
use statistics::{Random, sigmas};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// One process, one profile: the checks take turns.
static TURN: Mutex<()> = Mutex::new(());

/// From one to four hundred allocations a sample.
const RATES: [usize; 4] = [4_096, 1_638_400, 65_536, 262_144];
const SIZE: usize = 4_093;

/// One standard error of an estimate of `objects`, or more: that of the coarsest rate.
fn most_error(objects: usize) -> f64 {
    let spared = (-(SIZE as f64) / RATES[1] as f64).exp();
    (objects as f64 * spared / (1.0 - spared)).sqrt()
}

fn check(what: &str, work: impl FnOnce() -> Vec<Block>, objects: usize) {
    let mut kept = Vec::new();
    let grown = growth(|| kept = work());
    for (what, objects, estimate) in [
        (
            format!("{what}: allocated"),
            objects,
            allocated(&grown, SIZE),
        ),
        (format!("{what}: in use"), kept.len(), in_use(&grown, SIZE)),
    ] {
        sigmas::assert_within(
            &what,
            estimate.objects as f64,
            objects as f64,
            most_error(objects),
        );
        // Scaled alike: the two differ by what each bucket is cut by.
        let cut = estimate.bytes - estimate.objects * SIZE as i64;
        assert!(cut.unsigned_abs() as usize <= 2 * SIZE * estimate.buckets);
    }
}

#[test]
fn by_the_thread_itself() {
    let _turn = TURN.lock().expect("no check panicked");
    let mut random = Random::of_this_run();
    let objects = 1_000_000;
    let work = || {
        let mut kept = Vec::with_capacity(objects / 16);
        for nth in 0..objects {
            // Far more often than samples are taken.
            if random.below(20) == 0 {
                set_sample_rate(RATES[random.below(4)]);
            }
            let block = Block::new(SIZE, 1);
            if nth % 16 == 0 {
                kept.push(block);
            }
        }
        kept
    };
    check("changed every 20 allocations", work, objects);
}

#[test]
fn by_another_thread_at_any_moment() {
    let _turn = TURN.lock().expect("no check panicked");
    let mut random = Random::of_this_run();
    let objects = 1_000_000;
    let done = AtomicBool::new(false);
    let work = || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // A process has 2^20 changes; this one needs fewer.
                for nth in 0..500_000 {
                    if done.load(Ordering::Relaxed) {
                        println!("the rate was changed {nth} times meanwhile");
                        break;
                    }
                    set_sample_rate(RATES[random.below(4)]);
                    (0..random.below(200)).for_each(|_| std::hint::spin_loop());
                }
            });
            let mut kept = Vec::with_capacity(objects / 16);
            for nth in 0..objects {
                let block = Block::new(SIZE, 1);
                if nth % 16 == 0 {
                    kept.push(block);
                }
            }
            done.store(true, Ordering::Relaxed);
            kept
        })
    };
    check("changed by another thread", work, objects);
}
