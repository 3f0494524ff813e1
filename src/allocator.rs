//! The `GlobalAlloc` wrapper: forwards every call to the inner allocator, with the two branches that lead to the
//! slow paths of `record`. Nothing else happens here.
//!
//! ```text
//! alloc    inner ──▶ countdown −= size ── not negative ──▶ return        (every call)
//!                                      └─ negative ──────▶ alloc_slow    (one in 512 KiB)
//! dealloc  filter[hash(ptr)] == 0 ──▶ inner                              (every call)
//!                            != 0 ──▶ retire the record, then inner      (sampled blocks, rare false hits)
//! ```
//!
//! The order is fixed: a record is published after the inner `alloc` has returned a block and retired before the
//! inner `dealloc` gives the address away, so that no other thread can be handed an address that still has one.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::limits::Limits;
use crate::record::{self, Defaults};

/// The end of this file's path in line tables: how a profile knows the wrapper's frames where names lack their path.
pub(crate) const SOURCE: &str = file!();

/// A global allocator that forwards to `A` and keeps a sampled heap profile of what it hands out.
///
/// Cost: a subtraction and a compare per allocation, a load and a compare per free; about one allocation in
/// 512 KiB is recorded with its call stack.
///
/// ```
/// #[global_allocator]
/// static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();
/// # fn main() {}
/// ```
///
/// Any allocator can be wrapped, with a rate of one's own:
///
/// ```
/// use debug_pprof::ProfiledAllocator;
/// use mimalloc::MiMalloc;
///
/// #[global_allocator]
/// static ALLOC: ProfiledAllocator<MiMalloc> = ProfiledAllocator::new(MiMalloc).sample_every(128 * 1024);
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct ProfiledAllocator<A = System> {
    inner: A,
    defaults: Defaults,
}

impl ProfiledAllocator<System> {
    /// Wraps the operating system's allocator.
    pub const fn system() -> Self {
        Self::new(System)
    }
}

impl<A> ProfiledAllocator<A> {
    /// Wraps `inner`.
    pub const fn new(inner: A) -> Self {
        Self {
            inner,
            defaults: Defaults {
                rate: crate::DEFAULT_SAMPLE_RATE,
                limits: Limits::DEFAULT,
            },
        }
    }

    /// Samples one allocation per `bytes` allocated, on average: 1 samples all, 0 none. The default is
    /// [`DEFAULT_SAMPLE_RATE`](crate::DEFAULT_SAMPLE_RATE). The environment variable `DEBUG_PPROF_RATE` wins over it,
    /// [`set_sample_rate`](crate::set_sample_rate) over both.
    pub const fn sample_every(mut self, bytes: usize) -> Self {
        self.defaults.rate = bytes;
        self
    }

    /// Sets the bounds on what the profiler keeps.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.defaults.limits = limits;
        self
    }
}

// SAFETY: every block comes from `inner` and goes back to it with the pointer and the layout it was given, so the
// contract that `inner` keeps is the contract that this type keeps. `record` only reads addresses and sizes, does not
// unwind, and never allocates through the global allocator.
unsafe impl<A: GlobalAlloc> GlobalAlloc for ProfiledAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout is passed on unchanged; the caller vouches for its size.
        let block = unsafe { self.inner.alloc(layout) };
        if record::countdown(layout.size()) {
            record::alloc_slow(block, layout.size(), &self.defaults);
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`. The trait's default would write every page of a block that the kernel has zeroed.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if record::countdown(layout.size()) {
            record::alloc_slow(block, layout.size(), &self.defaults);
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if record::may_contain(block, layout) {
            record::dealloc_slow(block, layout.size());
        }
        // SAFETY: the caller vouches that `block` came from this allocator with `layout`, and all of those came from
        // `inner` with the same layout.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // A realloc is a free and a fresh decision for the new size, whether the block moves or not.
        let held = if record::may_contain(block, layout) {
            record::realloc_hold(block)
        } else {
            None
        };
        // SAFETY: as in `dealloc`; the trait's default would copy where `inner` can grow in place.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if let Some(held) = held {
            record::realloc_settle(held, layout.size(), moved);
        }
        if record::countdown(new_size) {
            record::alloc_slow(moved, new_size, &self.defaults);
        }
        moved
    }
}
