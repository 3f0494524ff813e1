//! The free of a sampled block is counted whatever the profiler does on that thread meanwhile: writing a profile to a writer
//! that frees, unwinding through frees, inside the inner allocator. In-use comes back to the baseline, and no record is left
//! behind for the next block at that address. (In signal handlers too: `an_allocation_may_be_interrupted_at_every_instruction`.)

mod measured;
mod statistics;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats, set_sample_rate};
use measured::{Block, allocated, in_use};

/// Blocks over 1 032 bytes, which glibc does not keep in a thread's own cache: the next one of the size is at the address of
/// the last, which is when a record that was left behind does harm.
const SIZE: usize = 30_029;
const BLOCKS: usize = 50;

/// `System`, but it frees what it is told to, in the middle of a call.
struct Freeing;

static TO_FREE: Mutex<Option<Block>> = Mutex::new(None);
static IS_ASKED: AtomicBool = AtomicBool::new(false);

fn free_what_waits() {
    if IS_ASKED.swap(false, Ordering::Relaxed) {
        let block = TO_FREE.lock().expect("no panic").take();
        drop(block);
    }
}

// SAFETY: `System`; the blocks that it frees are the test's own.
unsafe impl GlobalAlloc for Freeing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        free_what_waits();
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        free_what_waits();
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        free_what_waits();
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOC: ProfiledAllocator<Freeing> = ProfiledAllocator::new(Freeing).sample_every(1);

fn ask_to_free(block: Block) {
    *TO_FREE.lock().expect("no panic") = Some(block);
    IS_ASKED.store(true, Ordering::Relaxed);
}

/// A writer that frees a block at each call, and takes another.
struct Churning(Vec<Block>);

impl Write for Churning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.pop();
        Ok(bytes.len().min(100))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So many sampled blocks.
fn blocks() -> Vec<Block> {
    (0..BLOCKS).map(|_| Block::new(SIZE, 8)).collect()
}

fn in_use_now() -> i64 {
    in_use(&HeapProfile::capture().expect("installed"), SIZE).objects
}

#[test]
fn frees_are_counted_while_the_profiler_is_at_work() {
    let before = HeapProfile::capture().expect("installed");
    assert_eq!(in_use_now(), 0);

    // In a profile's writer: sampling is suspended on this thread.
    let mut writer = Churning(blocks());
    before.write_pprof(&mut writer).expect("it takes all");
    before.write_text(&mut writer).expect("it takes all");
    let left = writer.0.len();
    assert!(left < BLOCKS, "nothing was freed");
    assert_eq!(in_use_now(), left as i64, "freed by the writer");
    drop(writer);
    assert_eq!(in_use_now(), 0);

    // Inside the inner allocator: of a sampled allocation, of a sampled block's free, while one is held for a realloc.
    for mut other in blocks() {
        ask_to_free(Block::new(SIZE, 8));
        let new = Block::new(SIZE, 8);
        ask_to_free(new);
        other.resize(SIZE + 1);
        other.resize(SIZE);
        ask_to_free(Block::new(SIZE, 8));
        drop(other);
    }
    assert_eq!(in_use_now(), 0, "freed by the inner allocator");

    // While a panic unwinds, with sampling off, and at another rate.
    for rate in [1, 0, 1 << 20] {
        let held = blocks();
        set_sample_rate(rate);
        let caught = catch_unwind(move || {
            let _held = held;
            panic!("unwinds through {BLOCKS} frees");
        });
        assert!(caught.is_err());
        set_sample_rate(1);
        assert_eq!(in_use_now(), 0, "freed at rate {rate}");
    }

    let grown = HeapProfile::capture().expect("installed").since(&before);
    let done = BLOCKS + (1 + 1 + 1 + 1 + 1) * BLOCKS + 3 * BLOCKS;
    assert_eq!(allocated(&grown, SIZE).objects, done as i64);
    let stats = mem_stats().profiler;
    assert_eq!((stats.stale, stats.nested), (0, 0));
}
