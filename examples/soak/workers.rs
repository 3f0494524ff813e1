//! Allocation on all cores: blocks of mixed sizes, grown, shrunk, handed to other threads and freed there; the standard
//! collections; panics that are caught.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hint::black_box;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::random::Random;
use crate::tally::{self, Tally};

/// Blocks that one worker keeps: enough that freed memory comes back in another order than it was taken.
const KEPT: usize = 256;

/// Half as many, and threads meet at one lock more often than they allocate.
const SLOTS: usize = 64;

/// Operations between two rounds of the collections, and between two panics: both cost as much as some hundred blocks.
const BLOCKS_PER_ROUND: u64 = 1_024;

/// What a worker throws, and nothing else does.
pub(crate) struct ExpectedPanic(Box<u64>);

/// Where a block waits for another thread, which will free it.
pub(crate) struct Exchange {
    slots: Vec<Mutex<Vec<u8>>>,
}

impl Exchange {
    pub(crate) fn new() -> Exchange {
        Exchange {
            slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Leaves `block` and takes what was there.
    pub(crate) fn swap(&self, random: &mut Random, block: Vec<u8>) -> Vec<u8> {
        let slot = &self.slots[random.below(SLOTS)];
        mem::replace(
            &mut slot.lock().unwrap_or_else(PoisonError::into_inner),
            block,
        )
    }

    pub(crate) fn into_blocks(self) -> impl Iterator<Item = Vec<u8>> {
        let slots = self.slots.into_iter();
        slots.map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a worker has done, and the blocks that it still has.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) tally: Tally,
    pub(crate) kept: Vec<Vec<u8>>,
    pub(crate) operations: u64,
    pub(crate) panics: u64,
}

/// Works until it is told to stop.
pub(crate) fn work(seed: u64, exchange: &Exchange, stop: &AtomicBool) -> Done {
    let mut random = Random::new(seed);
    let mut done = Done::default();
    done.kept.reserve_exact(KEPT + 1);
    while !stop.load(Ordering::Relaxed) {
        done.operations += 1;
        match random.below(8) {
            0..=2 => done.allocate(&mut random),
            3 => done.resize(&mut random),
            4..=5 => done.exchange(&mut random, exchange),
            _ => done.free(&mut random),
        }
        if done.operations.is_multiple_of(BLOCKS_PER_ROUND) {
            use_collections(&mut random);
            done.panic(&mut random);
        }
    }
    done
}

impl Done {
    fn allocate(&mut self, random: &mut Random) {
        let size = tally::any_size(random);
        let block = if random.next() & 1 == 0 {
            vec![0; size]
        } else {
            filled(size)
        };
        self.tally.allocated(&block);
        self.kept.push(block);
        if self.kept.len() > KEPT {
            self.free(random);
        }
    }

    fn free(&mut self, random: &mut Random) {
        if !self.kept.is_empty() {
            let block = self.kept.swap_remove(random.below(self.kept.len()));
            self.tally.freed(&block);
        }
    }

    /// `realloc`, up or down.
    fn resize(&mut self, random: &mut Random) {
        if self.kept.is_empty() {
            return;
        }
        let nth = random.below(self.kept.len());
        let block = &mut self.kept[nth];
        let size = tally::any_size(random);
        if size == block.capacity() {
            return;
        }
        self.tally.freed(block);
        if size > block.capacity() {
            block.reserve_exact(size - block.len());
        } else {
            block.truncate(size);
            block.shrink_to(size);
        }
        self.tally.allocated(block);
    }

    /// Gives a block away and frees what another thread left.
    fn exchange(&mut self, random: &mut Random, exchange: &Exchange) {
        if let Some(block) = self.kept.pop() {
            let taken = exchange.swap(random, block);
            self.tally.freed(&taken);
        }
    }

    fn panic(&mut self, random: &mut Random) {
        let number = random.next();
        let caught = catch_unwind(AssertUnwindSafe(|| throw(number)));
        let is_ours = |payload: Box<dyn Any + Send>| {
            let payload = payload.downcast::<ExpectedPanic>();
            payload.is_ok_and(|thrown| *thrown.0 == number)
        };
        self.panics += u64::from(caught.is_err_and(is_ours));
    }
}

/// A block that was written to, and so is in memory.
fn filled(size: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(size);
    block.resize(size, 1);
    block
}

/// Unwinds through a frame that has something to drop.
#[inline(never)]
fn throw(number: u64) {
    let dropped_on_the_way = black_box(vec![number; 32]);
    if number == dropped_on_the_way[0] {
        panic_any(ExpectedPanic(Box::new(number)));
    }
}

/// Maps, lists, queues and strings that grow by themselves.
#[inline(never)]
fn use_collections(random: &mut Random) {
    let mut names = HashMap::new();
    let mut sorted = BTreeMap::new();
    let mut queue = VecDeque::new();
    let mut text = String::new();
    for _ in 0..200 {
        let number = random.next() % 512;
        names.insert(number, number.to_string());
        sorted.insert(number, vec![number; 4]);
        queue.push_back(Box::new(number));
        text.push_str("grows by doubling ");
        if number.is_multiple_of(3) {
            names.remove(&(number / 3));
            sorted.pop_first();
            queue.pop_front();
        }
    }
    black_box((&names, &sorted, &queue, &text));
}
