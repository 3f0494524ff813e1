//! Blocks that one thread allocates and another frees, as a pipeline's messages.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::Started;
use crate::blocks::{self, Block};
use crate::random::Random;

/// Blocks handed over at once: enough work that waking the other thread is little beside it.
const BATCH: u64 = 4_096;
/// Batches on their way at one time: bounds the memory.
const IN_FLIGHT: usize = 2;

/// Operation: a block is allocated here and freed on the other thread.
pub(crate) fn start() -> Started {
    let (full, batches): (Sender<Vec<Block>>, Receiver<Vec<Block>>) = channel();
    let (emptied, empties) = channel();
    for _ in 0..IN_FLIGHT {
        emptied.send(Vec::new()).expect("the receiver is here");
    }
    thread::spawn(move || {
        for mut batch in batches {
            batch.clear();
            if emptied.send(batch).is_err() {
                break;
            }
        }
    });
    let mut random = Random::new(11);
    Box::new(move |count| {
        let next = || empties.recv().expect("the freeing thread is alive");
        let mut left = count;
        while left > 0 {
            let blocks = left.min(BATCH);
            let mut batch = next();
            batch.extend((0..blocks).map(|_| blocks::mixed(&mut random)));
            full.send(batch).expect("the freeing thread is alive");
            left -= blocks;
        }
        // The round ends when everything is freed.
        let all: Vec<Vec<Block>> = (0..IN_FLIGHT).map(|_| next()).collect();
        for batch in all {
            full.send(batch).expect("the freeing thread is alive");
        }
    })
}
