//! One allocation and its free, over and over: every call is on the allocator's shortest path.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::ptr;

use crate::Started;

/// Operation: `alloc`, write every byte, `dealloc`.
pub(crate) fn written(size: usize) -> Started {
    pairs(size, |block, size| {
        // SAFETY: the block was allocated just now with this size.
        unsafe { ptr::write_bytes(block, 0x5a, size) };
    })
}

/// Operation: `alloc`, `dealloc`.
pub(crate) fn untouched(size: usize) -> Started {
    pairs(size, |_, _| ())
}

fn pairs(size: usize, touch: impl Fn(*mut u8, usize) + 'static) -> Started {
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    Box::new(move |count| {
        for _ in 0..count {
            // The compiler knows neither size nor pointer, so it can leave out neither call.
            let layout = black_box(layout);
            // SAFETY: the size is not 0.
            let block = black_box(unsafe { alloc(layout) });
            if block.is_null() {
                handle_alloc_error(layout);
            }
            touch(block, layout.size());
            // SAFETY: allocated above with this layout.
            unsafe { dealloc(black_box(block), layout) };
        }
    })
}
