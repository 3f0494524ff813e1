//! The three loads that allocators are measured with, on one to eight threads and with sampling at every rate, go on
//! and leave the count of live blocks exact at rate 1.
//!
//! larson: a thread frees what an earlier one left and leaves its own to the next; xmalloc: who frees is never who
//! allocated; mstress: blocks of all sizes grow, shrink and die on one thread, and some outlive it.

mod idle_harness;
mod own_process;

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;
use std::sync::mpsc::sync_channel;

use debug_pprof::{HeapProfile, HeapValues, ProfiledAllocator};
use own_process::{OwnProcess, is_long, part};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// A block with its layout; frees itself, wherever it is.
struct Block {
    address: usize,
    layout: Layout,
}

const ALIGN: usize = 16;

impl Block {
    fn new(size: usize, zeroed: bool) -> Self {
        let layout = Layout::from_size_align(size, ALIGN).expect("a layout");
        let allocate = if zeroed { alloc_zeroed } else { alloc };
        // SAFETY: sizes are not 0.
        let block = black_box(unsafe { allocate(layout) });
        assert!(!block.is_null());
        // SAFETY: the block has at least a byte. Written, so that a block which two threads were given is noticed.
        unsafe { block.write(size as u8) };
        Self {
            address: block.expose_provenance(),
            layout,
        }
    }

    fn pointer(&self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.address)
    }

    fn resize(&mut self, size: usize) {
        // SAFETY: the block is this one's, with this layout; the size is not 0.
        let moved = unsafe { realloc(self.pointer(), self.layout, size) };
        assert!(!moved.is_null());
        // SAFETY: as in `new`.
        unsafe { moved.write(size as u8) };
        self.address = moved.expose_provenance();
        self.layout = Layout::from_size_align(size, ALIGN).expect("a layout");
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: written by `new` or `resize`.
        assert_eq!(unsafe { self.pointer().read() }, self.layout.size() as u8);
        // SAFETY: the block is this one's, with this layout, and is freed here only.
        unsafe { dealloc(self.pointer(), self.layout) };
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Mostly small, some over what glibc caches for a thread, a few that it maps.
    fn size(&mut self) -> usize {
        match self.below(100) {
            0..70 => 1 + self.below(512),
            70..98 => 1 + self.below(16 << 10),
            _ => 1 + self.below(200 << 10),
        }
    }

    fn block(&mut self) -> Block {
        Block::new(self.size(), self.below(8) == 0)
    }
}

/// Each generation of threads gets the blocks of the one before.
fn larson(threads: usize, steps: usize) -> Vec<Block> {
    let mut generation: Vec<Vec<Block>> = (0..threads)
        .map(|seed| {
            let mut random = Random(seed as u64);
            (0..64).map(|_| random.block()).collect()
        })
        .collect();
    for round in 0..4 {
        generation = std::thread::scope(|scope| {
            let start = |(nth, mut blocks): (usize, Vec<Block>)| {
                scope.spawn(move || {
                    let mut random = Random((round * 100 + nth) as u64);
                    for _ in 0..steps / 4 {
                        let victim = random.below(blocks.len());
                        blocks[victim] = random.block();
                    }
                    blocks
                })
            };
            let threads: Vec<_> = generation.into_iter().enumerate().map(start).collect();
            let join =
                |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
            threads.into_iter().map(join).collect()
        });
    }
    generation.into_iter().flatten().collect()
}

/// Pairs of threads: one allocates, the other frees.
fn xmalloc(threads: usize, steps: usize) -> Vec<Block> {
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for seed in 0..threads.div_ceil(2) {
            let (sender, blocks) = sync_channel(256);
            let allocates = scope.spawn(move || {
                let mut random = Random(seed as u64);
                (0..steps).for_each(|_| sender.send(random.block()).expect("somebody frees"));
            });
            let frees = scope.spawn(move || blocks.into_iter().for_each(drop));
            running.extend([allocates, frees]);
        }
        // Joined, because the scope does not wait for what a thread frees at its very end.
        running
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"));
    });
    Vec::new()
}

fn mstress(threads: usize, steps: usize) -> Vec<Block> {
    let one = |seed: usize| {
        let mut random = Random(seed as u64);
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..steps {
            match random.below(4) {
                0 if !blocks.is_empty() => drop(blocks.swap_remove(random.below(blocks.len()))),
                1 if !blocks.is_empty() => {
                    let which = random.below(blocks.len());
                    blocks[which].resize(random.size());
                }
                _ => blocks.push(random.block()),
            }
            if blocks.len() > 100 {
                blocks.truncate(20);
            }
        }
        blocks
    };
    std::thread::scope(|scope| {
        let start = |seed| scope.spawn(move || one(seed));
        let threads: Vec<_> = (0..threads).map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        threads.into_iter().flat_map(join).collect()
    })
}

fn growth(before: &HeapProfile) -> (i64, i64) {
    let now = HeapProfile::capture().expect("installed");
    let grown: HeapValues = now.since(before).total();
    (grown.inuse_objects, grown.inuse_space)
}

type Load = (&'static str, fn(usize, usize) -> Vec<Block>);

fn run((name, load): Load, threads: usize, rate: usize, steps: usize) {
    debug_pprof::set_sample_rate(rate);
    let before = HeapProfile::capture().expect("installed");
    let kept = load(threads, steps);
    if rate == 1 {
        // The list is an allocation, too.
        let list = [kept.capacity() * size_of::<Block>()];
        let list = list.iter().filter(|bytes| **bytes > 0);
        let blocks = kept.iter().map(|block| block.layout.size());
        let expected = blocks
            .chain(list.copied())
            .fold((0, 0), |(objects, bytes), size| {
                (objects + 1, bytes + size as i64)
            });
        assert_eq!(growth(&before), expected, "{name} on {threads} threads");
    }
    drop(kept);
    assert_eq!(
        growth(&before),
        (0, 0),
        "{name} on {threads} threads at rate {rate}"
    );
}

const NAME: &str = "allocator_loads_keep_the_count";

#[test]
fn allocator_loads_keep_the_count() {
    if part().is_none() {
        OwnProcess::of(NAME, "loads").ends_well();
        return;
    }
    let steps = if is_long() { 200_000 } else { 1_500 };
    let loads: [Load; 3] = [
        ("larson", larson),
        ("xmalloc", xmalloc),
        ("mstress", mstress),
    ];
    debug_pprof::set_sample_rate(1);
    idle_harness::wait();
    for rate in [0, 512 << 10, 4 << 10, 1] {
        for threads in [1, 2, 4, 8] {
            for load in loads {
                run(load, threads, rate, steps);
            }
        }
    }
    let stats = debug_pprof::mem_stats();
    assert_eq!((stats.profiler.stale, stats.profiler.nested), (0, 0));
    assert!(stats.heap.alloc_objects > 30_000, "{stats:?}");
}
