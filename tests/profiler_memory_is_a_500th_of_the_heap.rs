//! With 10 GiB in use in blocks of 64 B to 4 KiB the profiler holds at most 0.2 % of that, though no two samples share
//! a call stack and a size. Simulated at rate 1: as many blocks as would be sampled at the default rate.

mod distinct_stacks;
mod measured;
mod statistics;

use debug_pprof::{DEFAULT_SAMPLE_RATE, ProfiledAllocator, mem_stats};
use distinct_stacks::allocate_under;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const HEAP: usize = 10 << 30;
/// Blocks far smaller than the rate: one sample for each `DEFAULT_SAMPLE_RATE` bytes of heap.
const SAMPLES: usize = HEAP / DEFAULT_SAMPLE_RATE;
const STACKS: usize = 256;
const SIZES: usize = SAMPLES / STACKS;

#[test]
fn profiler_memory_is_a_500th_of_the_heap() {
    let size = |nth: usize| 64 + nth / STACKS * (4_096 - 64) / (SIZES - 1);
    assert_eq!((size(0), size(SAMPLES - 1)), (64, 4_096));
    let before = mem_stats().profiler;
    let kept: Vec<_> = (0..SAMPLES)
        .map(|nth| allocate_under(nth % STACKS, size(nth)))
        .collect();
    let after = mem_stats().profiler;
    assert!(after.live_records - before.live_records >= SAMPLES);
    assert!(after.buckets - before.buckets >= SAMPLES);

    // All that it holds, whatever it is for.
    let share = after.memory_bytes as f64 / HEAP as f64;
    println!(
        "{SAMPLES} samples: {} bytes, {:.3} % of the heap",
        after.memory_bytes,
        100.0 * share
    );
    assert!(share <= 0.002, "{share} of the heap");
    drop(kept);
}
