//! An inner allocator that has everything but blocks of one size.

use std::alloc::{GlobalAlloc, Layout, System};

/// Refuses `SIZE`, which nothing else is to ask for, whether a block is to be made or to become as large.
pub(crate) struct Refusing<const SIZE: usize>;

// SAFETY: `System`, or null.
unsafe impl<const SIZE: usize> GlobalAlloc for Refusing<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == SIZE {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size == SIZE {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}
