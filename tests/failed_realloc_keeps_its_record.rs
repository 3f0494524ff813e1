//! A block whose `realloc` failed is still in use, in the profile too, until it is freed.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "one argument covers the life of a block"
)]

mod refusing;

use std::alloc::{Layout, alloc, dealloc, realloc};

use debug_pprof::{HeapProfile, ProfiledAllocator};
use refusing::Refusing;

/// Refuses to grow a block to this size, at whichever call it is asked to.
const REFUSED: usize = 7_777_777;

#[global_allocator]
static ALLOC: ProfiledAllocator<Refusing<REFUSED>> =
    ProfiledAllocator::new(Refusing).sample_every(1);

const SIZE: usize = 54_321;

fn inuse(before: &HeapProfile) -> i64 {
    let grown = HeapProfile::capture().expect("installed").since(before);
    grown
        .records()
        .iter()
        .filter(|record| record.size() == Some(SIZE))
        .map(|r| r.estimate().inuse_objects)
        .sum()
}

#[test]
fn failed_realloc_keeps_its_record() {
    let before = HeapProfile::capture().expect("installed");
    let layout = Layout::from_size_align(SIZE, 8).expect("a layout");
    // SAFETY: the size is not 0.
    let block = unsafe { alloc(layout) };
    assert_eq!(inuse(&before), 1);
    for _ in 0..100 {
        // SAFETY: the block is alive with this layout.
        assert!(unsafe { realloc(block, layout, REFUSED) }.is_null());
        assert_eq!(inuse(&before), 1);
    }
    // SAFETY: the block is alive with this layout, and freed once.
    unsafe { dealloc(block, layout) };
    assert_eq!(inuse(&before), 0);
}
