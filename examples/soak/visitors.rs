//! Threads that come and go: each allocates, leaves a block for somebody else, and ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::random::Random;
use crate::tally::{self, Tally};
use crate::workers::Exchange;

/// Some with the smallest stack that the system allows.
const STACK_BYTES: [usize; 2] = [16 << 10, 2 << 20];

/// Blocks that one of them allocates.
const BLOCKS: u64 = 32;

/// Starts one after the other until it is told to stop. Returns how many there were.
pub(crate) fn come_and_go(exchange: &Exchange, stop: &AtomicBool) -> Result<(Tally, u64), String> {
    let mut tally = Tally::default();
    let mut visitors = 0;
    while !stop.load(Ordering::Relaxed) {
        let stack = STACK_BYTES[visitors as usize % STACK_BYTES.len()];
        let visitor = thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(stack);
            let handle = builder.spawn_scoped(scope, || visit(visitors, exchange));
            // Joined by hand: the scope's own end does not wait for the destructors of a thread's locals.
            handle.map(|handle| handle.join())
        });
        let visitor = visitor.map_err(|error| format!("no thread for a visitor: {error}"))?;
        tally.add(&visitor.map_err(|_| "a visitor panicked")?);
        visitors += 1;
    }
    Ok((tally, visitors))
}

fn visit(seed: u64, exchange: &Exchange) -> Tally {
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    for _ in 0..BLOCKS {
        let block = vec![0; tally::any_size(&mut random)];
        tally.allocated(&block);
        let taken = exchange.swap(&mut random, block);
        tally.freed(&taken);
    }
    tally
}
