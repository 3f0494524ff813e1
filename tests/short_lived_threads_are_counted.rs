//! 100 000 threads that allocate a sixteenth of the rate each and end are counted as one thread that allocates as much:
//! a thread's first allocation is neither sampled by force nor skipped.

mod measured;
mod statistics;

use debug_pprof::ProfiledAllocator;
use measured::{Block, allocated, growth, in_use};
use statistics::Truth;

const RATE: usize = 524_288;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(RATE);

#[test]
fn short_lived_threads_are_counted() {
    let (rounds, threads, size) = (1_000, 100, 32_749);
    let mut kept = Vec::with_capacity(rounds * threads / 10);
    let grown = growth(|| {
        for _ in 0..rounds {
            std::thread::scope(|scope| {
                let spawned: Vec<_> = (0..threads)
                    .map(|nth| {
                        scope.spawn(move || {
                            let block = Block::new(size, 1);
                            // One in ten outlives its thread.
                            (nth % 10 == 0).then_some(block)
                        })
                    })
                    .collect();
                let ended = spawned.into_iter().map(|thread| thread.join());
                kept.extend(ended.filter_map(|block| block.expect("no panic")));
            });
        }
    });
    let truth = |what, objects| Truth {
        what,
        objects: objects as u64,
        size,
        rate: RATE,
    };
    truth("threads of one block each", rounds * threads).assert_unbiased(allocated(&grown, size));
    truth("blocks that outlive them", kept.len()).assert_unbiased(in_use(&grown, size));
}
