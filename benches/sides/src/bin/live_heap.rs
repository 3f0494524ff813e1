//! What the profiler keeps for a heap of 10 GiB in blocks of 64 B to 4 KiB. Of such a heap 20 480 blocks are sampled at
//! the default rate; here just as many are allocated, each sampled. Prints the profiler's bytes, its buckets and its
//! live records.

use debug_pprof::{DEFAULT_SAMPLE_RATE, ProfiledAllocator, mem_stats, set_sample_rate};
use debug_pprof_bench_sides::{Way, ready};
use work::Random;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

const HEAP: usize = 10 << 30;
const SAMPLES: usize = HEAP / DEFAULT_SAMPLE_RATE;
/// A large program's. With sizes at random nearly each sample has a bucket of its own, the dearest case.
const STACKS: usize = 5_000;
const FRAMES: u32 = 20;

fn main() {
    ready();
    let mut random = Random::new(29);
    let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(SAMPLES);
    set_sample_rate(1);
    for _ in 0..SAMPLES {
        let (stack, size) = (random.below(STACKS), random.size(6, 12));
        Way::nth(stack as u64).call(FRAMES, &mut || blocks.push(Vec::with_capacity(size)));
    }
    set_sample_rate(0);
    let profiler = mem_stats().profiler;
    println!(
        "{HEAP} {} {} {}",
        profiler.memory_bytes, profiler.buckets, profiler.live_records
    );
    drop(blocks);
}
