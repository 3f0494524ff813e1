//! The check of `addresses_that_change_hands_keep_their_records` fails if a block goes back before its record goes: the
//! order that others had (fil #175, peak #82, dial9 #911).
//!
//! The wrapper retires the record and then calls its inner `dealloc`. Here that does nothing, because the block went
//! back to the system before the wrapper was asked.

mod hand_over;

use std::alloc::{GlobalAlloc, Layout, System};

use debug_pprof::ProfiledAllocator;

struct FreesNothing;

// SAFETY: `System`'s blocks, which `Late` gives back.
unsafe impl GlobalAlloc for FreesNothing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

struct Late(ProfiledAllocator<FreesNothing>);

// SAFETY: `System`; the wrapper looks at a freed block's address only.
unsafe impl GlobalAlloc for Late {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) };
        // SAFETY: the inner `dealloc` does nothing, so the block is not freed twice.
        unsafe { self.0.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOC: Late = Late(ProfiledAllocator::new(FreesNothing).sample_every(1));

#[test]
fn a_record_that_outlives_its_block_is_caught() {
    let times = 50_000;
    let is_caught = || {
        let outcome = hand_over::outcome(times);
        println!("{outcome:?}");
        outcome.stale > 0 && outcome != hand_over::expected(times)
    };
    // Nearly always in the first round.
    assert!((0..10).any(|_| is_caught()));
}
