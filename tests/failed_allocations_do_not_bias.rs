//! Allocations and reallocations that fail, and values without a size, do not change the estimate of those that
//! succeed. (Failed ones once did, two-fold: the countdown was given back to those that ended it and not to the others.)

mod measured;
mod refusing;
mod statistics;

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;

use debug_pprof::ProfiledAllocator;
use measured::{allocated, growth};
use refusing::Refusing;
use statistics::Truth;

/// A size that nothing else asks for.
const REFUSED: usize = 4_091;
const SIZE: usize = 509;
const RATE: usize = 4_096;

#[global_allocator]
static ALLOC: ProfiledAllocator<Refusing<REFUSED>> =
    ProfiledAllocator::new(Refusing).sample_every(RATE);

#[test]
fn failed_allocations_do_not_bias() {
    let objects = 500_000;
    let refused = Layout::from_size_align(REFUSED, 8).expect("a layout");
    let layout = Layout::from_size_align(SIZE, 8).expect("a layout");
    let grown = growth(|| {
        for nth in 0..objects {
            // SAFETY: the size is not 0.
            let block = black_box(unsafe { alloc(layout) });
            let failed = match nth % 3 {
                // SAFETY: the size is not 0.
                0 => unsafe { alloc(refused) },
                // SAFETY: the size is not 0.
                1 => unsafe { alloc_zeroed(refused) },
                // SAFETY: allocated just now with this layout; it stays as it is.
                _ => unsafe { realloc(block, layout, REFUSED) },
            };
            assert!(black_box(failed).is_null());
            // No size, no allocation: the allocator is not asked.
            black_box((Box::new(()), Vec::<u64>::with_capacity(0)));
            // SAFETY: allocated above with this layout.
            unsafe { dealloc(block, layout) };
        }
    });
    let truth = Truth {
        what: "failed allocations in between",
        objects,
        size: SIZE,
        rate: RATE,
    };
    truth.assert_unbiased(allocated(&grown, SIZE));
    assert_eq!(allocated(&grown, REFUSED).objects, 0);
}
