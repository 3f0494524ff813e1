//! A rate that changes all the time, by the allocating thread itself or under its feet, biases no estimate: each sample
//! is scaled by the rate that it was taken at.

mod measured;
mod statistics;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use debug_pprof::{ProfiledAllocator, set_sample_rate};
use measured::{Block, allocated, growth, in_use};
use statistics::{Random, Truth, sigmas};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// One process, one profile: the checks take turns, whether those before have passed or not.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From one to four hundred allocations a sample.
const RATES: [usize; 4] = [4_096, 65_536, 262_144, 1_638_400];

#[test]
fn by_the_thread_itself() {
    let _turn = turn();
    let mut random = Random::of_this_run();
    // A size for each rate: a gap that was carried over to the next rate would show, which it does not in the total.
    let sizes = [4_091, 4_093, 4_099, 4_111];
    let (mut objects, mut kept) = ([0; 4], Vec::with_capacity(100_000));
    let mut now = 0;
    let grown = growth(|| {
        for nth in 0..1_600_000 {
            // More often than samples are taken.
            if nth % 16 == 0 {
                now = random.below(4);
                set_sample_rate(RATES[now]);
            }
            let block = Block::new(sizes[now], 1);
            objects[now] += 1;
            if nth % 16 == 3 {
                kept.push(block);
            }
        }
    });
    for ((size, rate), objects) in sizes.into_iter().zip(RATES).zip(objects) {
        let truth = |what, objects| Truth {
            what,
            objects,
            size,
            rate,
        };
        truth("rate changes", objects).assert_unbiased(allocated(&grown, size));
        truth("in use after them", objects / 16).assert_unbiased(in_use(&grown, size));
    }
}

#[test]
fn by_another_thread_at_any_moment() {
    let _turn = turn();
    let mut random = Random::of_this_run();
    let (objects, size) = (1_000_000, 4_127);
    let done = AtomicBool::new(false);
    let mut kept = Vec::with_capacity(objects / 16);
    let grown = growth(|| {
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
            for nth in 0..objects {
                let block = Block::new(size, 1);
                if nth % 16 == 0 {
                    kept.push(block);
                }
            }
            done.store(true, Ordering::Relaxed);
        })
    });
    for (what, objects, estimate) in [
        (
            "rate changed elsewhere: allocated",
            objects,
            allocated(&grown, size),
        ),
        (
            "rate changed elsewhere: in use",
            objects / 16,
            in_use(&grown, size),
        ),
    ] {
        // Nobody knows which rate each was under: one standard error at the coarsest, which is no less than the true.
        let spared = (-(size as f64) / RATES[3] as f64).exp();
        let error = (objects as f64 * spared / (1.0 - spared)).sqrt();
        sigmas::assert_within(what, estimate.objects as f64, objects as f64, error);
        // Scaled alike: the two differ by what each bucket is cut by.
        let cut = estimate.bytes - estimate.objects * size as i64;
        assert!(cut.unsigned_abs() as usize <= 2 * size * estimate.buckets);
    }
}
