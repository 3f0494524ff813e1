//! What threads have counted that are gone.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::ExactCounts;
use super::counts::Counts;
use super::slots::Slot;

/// Totals of threads that are gone, and the slot that the last of them had.
#[derive(Debug)]
pub(super) struct Ended {
    allocated_bytes: AtomicU64,
    allocations: AtomicU64,
    freed_bytes: AtomicU64,
    frees: AtomicU64,
    last: AtomicPtr<Slot>,
}

impl Ended {
    pub(super) const fn new() -> Self {
        Self {
            allocated_bytes: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            last: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(super) fn get(&self) -> ExactCounts {
        ExactCounts {
            freed_bytes: self.freed_bytes.load(Ordering::Relaxed),
            frees: self.frees.load(Ordering::Relaxed),
            allocated_bytes: self.allocated_bytes.load(Ordering::Relaxed),
            allocations: self.allocations.load(Ordering::Relaxed),
        }
    }

    fn set(&self, to: ExactCounts) {
        self.freed_bytes.store(to.freed_bytes, Ordering::Relaxed);
        self.frees.store(to.frees, Ordering::Relaxed);
        self.allocated_bytes
            .store(to.allocated_bytes, Ordering::Relaxed);
        self.allocations.store(to.allocations, Ordering::Relaxed);
    }

    pub(super) fn add(&self, more: ExactCounts) {
        self.freed_bytes
            .fetch_add(more.freed_bytes, Ordering::Relaxed);
        self.frees.fetch_add(more.frees, Ordering::Relaxed);
        self.allocated_bytes
            .fetch_add(more.allocated_bytes, Ordering::Relaxed);
        self.allocations
            .fetch_add(more.allocations, Ordering::Relaxed);
    }
}

/// Two copies, so that a thread's counts go from its slot to the total in one store: a fork child may be born at any time, and
/// finds them in one place.
#[derive(Debug)]
pub(super) struct Total {
    copies: [Ended; 2],
    in_force: AtomicUsize,
}

impl Total {
    pub(super) const fn new() -> Self {
        Self {
            copies: [Ended::new(), Ended::new()],
            in_force: AtomicUsize::new(0),
        }
    }

    /// The copy in force, and the other.
    fn copies(&self) -> (&Ended, &Ended) {
        let [even, odd] = &self.copies;
        match self.in_force.load(Ordering::Acquire) % 2 {
            0 => (even, odd),
            _ => (odd, even),
        }
    }

    pub(super) fn get(&self) -> ExactCounts {
        self.copies().0.get()
    }

    /// The slot whose counts are in the total already, though it is still taken; null if there is none.
    pub(super) fn last(&self) -> *mut Slot {
        self.copies().0.last.load(Ordering::Relaxed)
    }

    /// Moves a slot's counts here. Under the lock, or in a fork child that is alone.
    #[inline]
    pub(super) fn fold(&self, slot: &Slot, counts: &Counts) {
        let (old, new) = self.copies();
        let mut sum = old.get();
        sum.add(counts.all());
        new.set(sum);
        new.last
            .store(ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
        // Here the counts change places. A fork child that finds the slot still taken sees that it is the last.
        self.in_force.fetch_add(1, Ordering::Release);
        slot.counts.store(ptr::null_mut(), Ordering::Release);
        new.last.store(ptr::null_mut(), Ordering::Relaxed);
    }
}
