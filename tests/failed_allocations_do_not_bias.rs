//! Allocations that fail do not change the estimate of those that succeed. (They once did, two-fold: the countdown was
//! given back to those that ended it and not to the others.)

use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc};

use debug_pprof::{HeapProfile, ProfiledAllocator};

/// A size that nothing else asks for.
const REFUSED: usize = 4_091;
const SIZE: usize = 509;
const RATE: usize = 4_096;

struct Refusing;

// SAFETY: `System`, or null.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOC: ProfiledAllocator<Refusing> = ProfiledAllocator::new(Refusing).sample_every(RATE);

#[test]
fn failed_allocations_do_not_bias() {
    let truth = 500_000;
    let refused = Layout::from_size_align(REFUSED, 8).expect("a layout");
    let layout = Layout::from_size_align(SIZE, 8).expect("a layout");
    let before = HeapProfile::capture().expect("installed");
    for _ in 0..truth {
        // SAFETY: the size is not 0.
        assert!(std::hint::black_box(unsafe { alloc(refused) }).is_null());
        // SAFETY: the size is not 0.
        let block = std::hint::black_box(unsafe { alloc(layout) });
        // SAFETY: allocated just now with this layout.
        unsafe { dealloc(block, layout) };
    }
    let after = HeapProfile::capture().expect("installed").since(&before);
    let of_size = after
        .records()
        .iter()
        .filter(|record| record.size() == Some(SIZE));
    let estimate: i64 = of_size.map(|record| record.estimate().alloc_objects).sum();
    // Failing allocations end gaps as well, which thins the samples no further than to the chance of one each: the
    // error is that of `estimates_are_unbiased.rs`, 6 sigmas.
    let sampled = -(-(SIZE as f64) / RATE as f64).exp_m1();
    let error = (truth as f64 * (1.0 - sampled) / sampled).sqrt();
    let sigmas = (estimate - truth) as f64 / error;
    assert!(
        sigmas.abs() < 6.0,
        "{estimate} for {truth}, {sigmas:+.1} sigmas"
    );
}
