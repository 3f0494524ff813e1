//! An inner allocator whose blocks may be larger than the machine's memory: page-aligned blocks are address space that
//! nothing backs and nobody may touch, all others are the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

/// The alignment by which a test asks for address space. Nothing else in a test process asks for as much.
pub(crate) const PAGE: usize = 4096;

/// Room that every block gets, so that it can grow in place.
const ROOM: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct AddressSpace;

/// Whether `realloc` moves a block where it could stay.
pub(crate) static MOVES: AtomicBool = AtomicBool::new(false);

fn mapped(size: usize) -> usize {
    size.max(ROOM).next_multiple_of(PAGE)
}

fn map(size: usize) -> *mut u8 {
    // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
    let block = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            mapped(size),
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if block == libc::MAP_FAILED {
        return std::ptr::null_mut();
    }
    block.cast()
}

fn unmap(block: *mut u8, size: usize) {
    // SAFETY: callers pass a whole mapping of `map`'s that its owner gives up.
    unsafe { libc::munmap(block.cast(), mapped(size)) };
}

// SAFETY: `System`, or mappings of their own; they hold no data, so there is none that `realloc` could lose.
unsafe impl GlobalAlloc for AddressSpace {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == PAGE {
            return map(layout.size());
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() == PAGE {
            return map(layout.size());
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.align() == PAGE {
            return unmap(block, layout.size());
        }
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() != PAGE {
            // SAFETY: the caller's contract.
            return unsafe { System.realloc(block, layout, size) };
        }
        let stays = !MOVES.load(Ordering::Relaxed);
        if stays && mapped(size) == mapped(layout.size()) {
            return block;
        }
        let moved = map(size);
        if !moved.is_null() {
            unmap(block, layout.size());
        }
        moved
    }
}
