//! The wrapper around an allocator that is nothing but calls to C.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use debug_pprof::ProfiledAllocator;

unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

struct Inner;

// SAFETY: C's allocator; the program asks for no alignment above 16 where `calloc` and `realloc` are used.
unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the alignment is a power of two.
        unsafe { aligned_alloc(layout.align(), layout.size()) }.cast()
    }
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's contract.
        unsafe { free(block.cast()) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { calloc(1, layout.size()) }.cast()
    }
    unsafe fn realloc(&self, block: *mut u8, _: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { realloc(block.cast(), size) }.cast()
    }
}

#[global_allocator]
static ALLOC: ProfiledAllocator<Inner> = ProfiledAllocator::new(Inner);

fn main() {
    let mut grown = vec![0_u8; std::env::args().count()];
    grown.extend(std::env::args().map(|argument| argument.len() as u8));
    println!("{grown:?}");
}
