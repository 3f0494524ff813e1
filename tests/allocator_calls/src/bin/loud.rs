//! The wrapper around an allocator that does all that is forbidden: it can panic, allocates, locks and formats.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;

use debug_pprof::ProfiledAllocator;

struct Inner;

static CALLS: Mutex<[usize; 4]> = Mutex::new([0; 4]);
static LAST: Mutex<String> = Mutex::new(String::new());

// SAFETY: `System`.
unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Out of bounds for most.
        CALLS.lock().unwrap_or_else(|error| error.into_inner())[layout.align()] += 1;
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Ok(mut last) = LAST.try_lock() {
            *last = format!("{layout:?}");
        }
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOC: ProfiledAllocator<Inner> = ProfiledAllocator::new(Inner);

fn main() {
    let mut grown = vec![0_u8; std::env::args().count()];
    grown.extend(std::env::args().map(|argument| argument.len() as u8));
    println!("{grown:?}");
}
