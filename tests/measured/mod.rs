//! What a heap profile says of one piece of work, through the public API.
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;

use debug_pprof::{HeapProfile, HeapValues};

use crate::statistics::Estimate;

/// The growth of the profile while `work` runs.
pub(crate) fn growth(work: impl FnOnce()) -> HeapProfile {
    let before = HeapProfile::capture().expect("installed");
    work();
    HeapProfile::capture().expect("installed").since(&before)
}

/// What was allocated of one size.
pub(crate) fn allocated(profile: &HeapProfile, size: usize) -> Estimate {
    sum(profile, size, |values| {
        (values.alloc_objects, values.alloc_space)
    })
}

/// What of one size is in use.
pub(crate) fn in_use(profile: &HeapProfile, size: usize) -> Estimate {
    sum(profile, size, |values| {
        (values.inuse_objects, values.inuse_space)
    })
}

fn sum(profile: &HeapProfile, size: usize, of: fn(HeapValues) -> (i64, i64)) -> Estimate {
    let mut sum = Estimate::default();
    let of_size = profile
        .records()
        .iter()
        .filter(|record| record.size() == Some(size));
    for record in of_size {
        let (objects, bytes) = of(record.estimate());
        sum.objects += objects;
        sum.bytes += bytes;
        sum.buckets += 1;
    }
    sum
}

/// A block that frees itself, on whichever thread.
#[derive(Debug)]
pub(crate) struct Block {
    address: usize,
    layout: Layout,
}

impl Block {
    #[inline(never)]
    pub(crate) fn new(size: usize, align: usize) -> Self {
        assert!(size > 0);
        let layout = Layout::from_size_align(size, align).expect("a layout");
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { alloc(layout) });
        assert!(!block.is_null(), "no memory for {size} bytes");
        Self {
            address: block.expose_provenance(),
            layout,
        }
    }

    pub(crate) fn resize(&mut self, size: usize) {
        assert!(size > 0);
        let block = std::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: the block is this one's, of this layout; sizes in tests are far below the largest.
        let moved = black_box(unsafe { std::alloc::realloc(block, self.layout, size) });
        assert!(!moved.is_null(), "no memory for {size} bytes");
        self.address = moved.expose_provenance();
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let block = std::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: allocated by `new` or `resize` with this layout, freed here only.
        unsafe { dealloc(block, self.layout) };
    }
}
