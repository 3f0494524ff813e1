//! The `GlobalAlloc` wrapper: forwards every call to the inner allocator, with the two branches that lead to the
//! slow paths of `record`. Nothing else happens here.
//!
//! ```text
//! alloc    countdown −= size ── not negative ──▶ inner                    (every call)
//!                            └─ negative ──────▶ inner, then the sampler  (one in 512 KiB)
//! dealloc  filter[hash(ptr)] == 0 ─▶ inner                                (every call)
//!                            != 0 ─▶ retire the record, then inner        (sampled blocks, rare false hits)
//! ```
//!
//! Before each call of the inner allocator on these ways the call is counted, unless that is switched off: see
//! `record/exact.rs`.
//!
//! The order is fixed: a record is published after the inner `alloc` has returned a block and retired before the
//! inner `dealloc` gives the address away, so that no other thread can be handed an address that still has one.
//!
//! Each call ends in a tail call, to the inner allocator or to a cold function of this file: the fast path has no
//! stack frame and keeps no register, which is a third of its instructions.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::limits::Limits;
use crate::record::{self, Defaults};
use crate::stack::OwnFrame;

/// The end of this file's path in line tables: how a profile knows the wrapper's frames where names lack their path.
pub(crate) const SOURCE: &str = file!();

/// A global allocator that forwards to `A` and keeps a sampled heap profile of what it hands out.
///
/// Cost: a subtraction and a compare per allocation, a load and a compare per free, and three additions; about one allocation in
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
        let mut wrapper = Self::new(System);
        wrapper.defaults.is_system = true;
        wrapper
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
                counts_exactly: true,
                is_system: false,
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

    /// Whether all allocations and frees are counted, not the samples alone: for [`exact_counts`](crate::exact_counts).
    /// The default is yes.
    ///
    /// Costs three additions to counters of the thread's own: four instructions for an allocation and its free, 0.0 to
    /// 0.2 ns (2026-11, AMD Zen 5). In a shared library that is loaded at run time each free also asks where its thread's
    /// variables are, as each allocation does anyway.
    ///
    /// For a wrapper that is a `static`, in an optimized build, what is switched off is not there: no instruction is left.
    pub const fn count_exactly(mut self, yes: bool) -> Self {
        self.defaults.counts_exactly = yes;
        self
    }

    #[inline]
    fn count_alloc(&self) {
        if self.defaults.counts_exactly {
            record::count_alloc();
        }
    }

    #[inline]
    fn count_free(&self, size: usize) {
        if self.defaults.counts_exactly {
            record::count_free(size);
        }
    }

    #[inline]
    fn frees_slowly(&self, block: *mut u8) -> bool {
        if self.defaults.counts_exactly {
            record::may_contain_or_is_unlisted(block)
        } else {
            record::may_contain(block)
        }
    }
}

// SAFETY: every block comes from `inner` and goes back to it with the pointer and the layout it was given, so the
// contract that `inner` keeps is the contract that this type keeps. `record` only reads addresses and sizes, does not
// unwind, and never allocates through the global allocator.
unsafe impl<A: GlobalAlloc> GlobalAlloc for ProfiledAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if record::countdown(layout.size()) {
            // SAFETY: as below.
            return unsafe { Self::alloc_slow(layout.size(), layout.align(), self) };
        }
        self.count_alloc();
        // SAFETY: the caller's layout is passed on unchanged; the caller vouches for its size.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if record::countdown(layout.size()) {
            // SAFETY: as in `alloc`.
            return unsafe { Self::alloc_zeroed_slow(layout.size(), layout.align(), self) };
        }
        self.count_alloc();
        // SAFETY: as in `alloc`. The trait's default would write every page of a block that the kernel has zeroed.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.count_free(layout.size());
        if self.frees_slowly(block) {
            // SAFETY: as below.
            return unsafe { self.dealloc_slow(block, layout) };
        }
        // SAFETY: the caller vouches that `block` came from this allocator with `layout`, and all of those came from
        // `inner` with the same layout.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // A realloc is a free and a fresh decision for the new size, whether the block moves or not.
        if record::countdown(new_size) || self.frees_slowly(block) {
            // SAFETY: as below.
            return unsafe { self.realloc_slow(block, layout, new_size) };
        }
        self.count_alloc();
        self.count_free(layout.size());
        // SAFETY: as in `dealloc`; the trait's default would copy where `inner` can grow in place.
        unsafe { self.inner.realloc(block, layout, new_size) }
    }
}

/// The slow paths. Their parameters are in the order of `__rust_alloc` and its like, so that the fast path need not move
/// them away from where the inner allocator wants them: two instructions in each allocation.
impl<A: GlobalAlloc> ProfiledAllocator<A> {
    /// # Safety
    /// * `size` and `align` are those of a layout, as for `GlobalAlloc::alloc`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_slow(size: usize, align: usize, this: &Self) -> *mut u8 {
        let marker = 0_u8;
        let undecided = record::take_back(size);
        // SAFETY: the parts of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        // SAFETY: the caller's layout is passed on unchanged.
        let block = unsafe { this.inner.alloc(layout) };
        record::alloc_slow(undecided, block, &this.defaults, OwnFrame::of(&marker));
        block
    }

    /// # Safety
    /// * `size` and `align` are those of a layout, as for `GlobalAlloc::alloc_zeroed`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_zeroed_slow(size: usize, align: usize, this: &Self) -> *mut u8 {
        let marker = 0_u8;
        let undecided = record::take_back(size);
        // SAFETY: the parts of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        // SAFETY: the caller's layout is passed on unchanged.
        let block = unsafe { this.inner.alloc_zeroed(layout) };
        record::alloc_slow(undecided, block, &this.defaults, OwnFrame::of(&marker));
        block
    }

    /// # Safety
    /// * As for `GlobalAlloc::dealloc`.
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_slow(&self, block: *mut u8, layout: Layout) {
        record::dealloc_slow(block, layout.size());
        if self.defaults.counts_exactly {
            record::settle_counts();
        }
        // SAFETY: as in `dealloc`.
        unsafe { self.inner.dealloc(block, layout) }
    }

    /// # Safety
    /// * As for `GlobalAlloc::realloc`.
    #[cold]
    #[inline(never)]
    unsafe fn realloc_slow(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let marker = 0_u8;
        let undecided = record::take_back(new_size);
        let held = record::realloc_hold(block);
        // SAFETY: as in `realloc`.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if let Some(held) = held {
            record::realloc_settle(held, layout.size(), moved);
        }
        if !moved.is_null() {
            self.count_free(layout.size());
        }
        record::alloc_slow(undecided, moved, &self.defaults, OwnFrame::of(&marker));
        moved
    }
}
