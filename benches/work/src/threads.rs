//! Threads that live for a few allocations: each one's first visit sets up its state.

use std::hint::black_box;
use std::thread;

use crate::Started;
use crate::blocks;
use crate::random::Random;

const BLOCKS: usize = 64;

/// Operation: a thread starts, allocates 64 blocks, frees them and ends.
pub(crate) fn start() -> Started {
    Box::new(move |count| {
        for seed in 0..count {
            let thread = thread::spawn(move || {
                let mut random = Random::new(seed);
                let blocks: Vec<_> = (0..BLOCKS).map(|_| blocks::mixed(&mut random)).collect();
                black_box(blocks);
            });
            thread.join().expect("no panic");
        }
    })
}
