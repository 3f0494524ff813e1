//! A program in random orders: threads that come and go, and trade blocks.

use std::sync::{Arc, Mutex};

use shuttle::rand::Rng;

use super::*;
use crate::record::shared::model::{random_orders, spawn};

/// An inner allocator, and threads that come and go with its blocks, as far as the profiler is concerned.
#[derive(Debug)]
struct Program {
    world: Arc<World>,
    free: Mutex<Vec<usize>>,
    /// Blocks on their way from one thread to another.
    given: Mutex<Vec<Block>>,
}

/// A block that has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    address: usize,
    payload: usize,
}

const MOST: usize = 6;

impl Program {
    fn alloc(&self, thread: u64, payload: usize) -> Option<Block> {
        let address = self.free.lock().unwrap().pop()?;
        let stale = self
            .world
            .live
            .retire_stale(Shard::of_thread(thread), address);
        assert_eq!(stale, None);
        if self.world.insert(thread, address, payload, MOST) {
            return Some(Block { address, payload });
        }
        self.free.lock().unwrap().push(address);
        None
    }

    fn free(&self, thread: u64, block: Block) {
        let live = &self.world.live;
        assert!(live.may_contain(block.address), "a free is missed");
        let retired = live.retire(Shard::of_thread(thread), block.address);
        assert_eq!(retired, Some(block.payload));
        self.free.lock().unwrap().push(block.address);
    }

    fn realloc(&self, thread: u64, block: Block) {
        let live = &self.world.live;
        assert!(live.may_contain(block.address), "a realloc is missed");
        let held = live.hold(block.address).expect("a record");
        self.free.lock().unwrap().push(block.address);
        let released = live.release(Shard::of_thread(thread), held);
        assert_eq!(released, block.payload);
    }

    /// A thread of the program. Returns what it has left.
    fn run(&self, thread: u64) -> Vec<Block> {
        let mut random = shuttle::rand::thread_rng();
        let mut blocks: Vec<Block> = Vec::new();
        for step in 0..16 {
            let payload = (thread as usize * 100 + step) << 1;
            let mine = (!blocks.is_empty()).then(|| random.gen_range(0..blocks.len()));
            match (random.gen_range(0..8), mine) {
                (0..=2, _) | (_, None) => blocks.extend(self.alloc(thread, payload)),
                (3, Some(mine)) => self.free(thread, blocks.swap_remove(mine)),
                (4, Some(mine)) => self.world.failed_realloc(blocks[mine].address),
                (5, Some(mine)) => {
                    self.realloc(thread, blocks.swap_remove(mine));
                    blocks.extend(self.alloc(thread, payload));
                }
                (6, Some(mine)) => {
                    self.given.lock().unwrap().push(blocks.swap_remove(mine));
                    let taken = self.given.lock().unwrap().pop();
                    blocks.extend(taken);
                }
                _ => {
                    let shown = self.world.shown();
                    let is_shown = |block: &Block| shown.contains(&block.address);
                    assert!(blocks.iter().all(is_shown), "{blocks:?} in {shown:?}");
                    let read = self.world.read();
                    let is_read = |block: &Block| {
                        let mut read = read.iter();
                        read.any(|shown| shown.payload == block.payload)
                    };
                    assert!(blocks.iter().all(is_read), "{blocks:?} in {read:?}");
                    assert!(self.world.live.len() <= MOST);
                }
            }
        }
        blocks
    }
}

#[test]
fn shuttle_threads_that_come_and_go_and_trade_blocks() {
    random_orders(10_000, || {
        let program = Arc::new(Program {
            world: World::new(),
            free: Mutex::new(vec![A, B, C, X, Y, A + 0x100, X + 0x100, Y + 0x100]),
            given: Mutex::default(),
        });
        let start = |thread| {
            let program = program.clone();
            spawn(move || program.run(thread))
        };
        let threads: Vec<_> = (0..4).map(start).collect();
        let mut left = program.given.lock().unwrap().split_off(0);
        left.extend(threads.into_iter().flat_map(|thread| thread.join()));
        left.append(&mut program.given.lock().unwrap());
        assert_eq!(program.world.live.len(), left.len());
        left.into_iter().for_each(|block| program.free(0, block));
        program.world.settle(&[]);
        assert_eq!(program.world.live.stale(), 0);
    });
}
