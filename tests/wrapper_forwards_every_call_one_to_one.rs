//! Each call reaches the inner allocator once, as the same method with the same layout, and its answer comes back
//! unchanged: sampled or not, with a block or with null.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "one argument covers the life of a block"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;

use debug_pprof::ProfiledAllocator;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Alloc(Layout),
    AllocZeroed(Layout),
    Dealloc(*mut u8, Layout),
    Realloc(*mut u8, Layout, usize),
}

thread_local! {
    static CALLS: RefCell<Vec<(Call, *mut u8)>> = const { RefCell::new(Vec::new()) };
    static REFUSE: RefCell<bool> = const { RefCell::new(false) };
}

/// Notes each call and its answer, and forwards it to `System`, or answers null.
struct Recording;

fn note(call: Call, answer: impl FnOnce() -> *mut u8) -> *mut u8 {
    let answer = if REFUSE.with_borrow(|refuse| *refuse) {
        std::ptr::null_mut()
    } else {
        answer()
    };
    CALLS.with_borrow_mut(|calls| calls.push((call, answer)));
    answer
}

// SAFETY: `System`, or null.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        note(Call::Alloc(layout), || unsafe { System.alloc(layout) })
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        note(Call::AllocZeroed(layout), || unsafe {
            System.alloc_zeroed(layout)
        })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        CALLS.with_borrow_mut(|calls| {
            calls.push((Call::Dealloc(block, layout), std::ptr::null_mut()))
        });
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        note(Call::Realloc(block, layout, size), || unsafe {
            System.realloc(block, layout, size)
        })
    }
}

static WRAPPER: ProfiledAllocator<Recording> = ProfiledAllocator::new(Recording);

/// The one call that reached the inner allocator, and its answer.
fn only_call() -> (Call, *mut u8) {
    let calls = CALLS.with_borrow_mut(std::mem::take);
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls[0]
}

fn walk_through(layout: Layout) {
    // SAFETY: sizes above 0; every block is freed once with its own layout.
    unsafe {
        let block = WRAPPER.alloc(layout);
        assert_eq!(only_call(), (Call::Alloc(layout), block));
        let size = layout.size() * 3;
        let moved = WRAPPER.realloc(block, layout, size);
        assert_eq!(only_call(), (Call::Realloc(block, layout, size), moved));
        let layout = Layout::from_size_align(size, layout.align()).expect("a layout");

        REFUSE.set(true);
        assert!(WRAPPER.realloc(moved, layout, 1 << 20).is_null());
        assert_eq!(
            only_call(),
            (Call::Realloc(moved, layout, 1 << 20), std::ptr::null_mut())
        );
        assert!(WRAPPER.alloc(layout).is_null());
        assert_eq!(only_call(), (Call::Alloc(layout), std::ptr::null_mut()));
        assert!(WRAPPER.alloc_zeroed(layout).is_null());
        assert_eq!(
            only_call(),
            (Call::AllocZeroed(layout), std::ptr::null_mut())
        );
        REFUSE.set(false);

        WRAPPER.dealloc(moved, layout);
        assert_eq!(only_call().0, Call::Dealloc(moved, layout));
        let zeroed = WRAPPER.alloc_zeroed(layout);
        assert_eq!(only_call(), (Call::AllocZeroed(layout), zeroed));
        WRAPPER.dealloc(zeroed, layout);
        assert_eq!(only_call().0, Call::Dealloc(zeroed, layout));
    }
}

#[test]
fn wrapper_forwards_every_call_one_to_one() {
    for rate in [524_288, 1, 0] {
        for (size, align) in [(1, 1), (64, 8), (5_000, 4_096), (1 << 20, 1 << 21)] {
            walk_through(Layout::from_size_align(size, align).expect("a layout"));
        }
        debug_pprof::set_sample_rate(rate);
    }
    // Every block is gone, and each refused realloc left its record in place for the free that followed.
    let stats = debug_pprof::mem_stats();
    assert_eq!(
        (
            stats.heap.inuse_objects,
            stats.profiler.live_records,
            stats.profiler.stale
        ),
        (0, 0, 0)
    );
    assert!(
        stats.heap.alloc_objects > 0,
        "nothing was sampled at rate 1"
    );
}
