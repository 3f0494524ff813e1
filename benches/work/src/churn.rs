//! Live blocks that are replaced at random: the allocator's lists are long and the caches are cold.

use crate::Started;
use crate::blocks::{self, Block};
use crate::random::Random;
use crate::worker::Worker;

/// Blocks alive on each thread: 5 MB, more than the second-level cache.
pub(crate) const LARGE: usize = 20_000;
/// 130 KB, which fit it.
pub(crate) const SMALL: usize = 500;

struct Churn {
    blocks: Vec<Block>,
    random: Random,
}

impl Churn {
    fn new(seed: u64, live: usize) -> Self {
        let mut random = Random::new(seed);
        let blocks = (0..live).map(|_| blocks::mixed(&mut random)).collect();
        Self { blocks, random }
    }

    fn replace(&mut self, count: u64) {
        for _ in 0..count {
            let index = self.random.below(self.blocks.len());
            self.blocks[index] = blocks::mixed(&mut self.random);
        }
    }
}

/// Operation: one block is replaced on each of `threads` threads at the same time.
pub(crate) fn start(threads: u64, live: usize) -> Started {
    let mut here = Churn::new(0, live);
    let others: Vec<Worker> = (1..threads)
        .map(|seed| {
            Worker::start(move || {
                let mut there = Churn::new(seed, live);
                move |count| there.replace(count)
            })
        })
        .collect();
    Box::new(move |count| {
        others.iter().for_each(|worker| worker.begin(count));
        here.replace(count);
        others.iter().for_each(Worker::wait);
    })
}
