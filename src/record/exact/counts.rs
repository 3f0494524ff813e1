//! What one thread has counted, which others may read.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::ExactCounts;
use super::lock::wait;

/// A word that its own thread changes and others read. Not `fetch_add`: a load and a store, which x86-64 does in one
/// instruction that a signal handler cannot divide, without a lock prefix.
#[derive(Debug)]
struct Tally(AtomicU64);

impl Tally {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline(always)]
    fn add(&self, more: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(more), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        // Acquire: what is read later is not older.
        self.0.load(Ordering::Acquire)
    }
}

/// One thread's counts. Bytes allocated are not counted one by one: they are `base` minus the countdown to the next
/// sample, and whoever moves the countdown for another reason moves `base` with it.
#[derive(Debug)]
pub(in crate::record) struct Counts {
    countdown: AtomicU64,
    allocations: Tally,
    frees: Tally,
    freed_bytes: Tally,
    base: Tally,
    /// Odd while `base` and the countdown do not belong together.
    moves: AtomicU32,
    /// 1 unless the thread has a slot: its frees are to go through the slow path. One load, in place of a test.
    pub(super) unlisted: Cell<u8>,
    /// The thread's key destructor has run: what is counted from now on has nobody to fold it but its slow path.
    pub(super) is_late: Cell<bool>,
}

impl Counts {
    pub(in crate::record) const fn new() -> Self {
        Self {
            // Below every rate word, so that the first allocation visits the slow path and draws its gap there.
            countdown: AtomicU64::new(0),
            allocations: Tally::new(),
            frees: Tally::new(),
            freed_bytes: Tally::new(),
            base: Tally::new(),
            moves: AtomicU32::new(0),
            unlisted: Cell::new(1),
            is_late: Cell::new(false),
        }
    }

    #[inline(always)]
    pub(in crate::record) fn countdown(&self) -> i64 {
        self.countdown.load(Ordering::Relaxed) as i64
    }

    /// Sets the countdown as an allocation does, or takes one back: the bytes between count as allocated.
    #[inline(always)]
    pub(in crate::record) fn count_down_to(&self, left: i64) {
        self.countdown.store(left as u64, Ordering::Relaxed);
    }

    /// Takes the last allocation's bytes back: the countdown is `before` again, cut to `cut`.
    #[inline(always)]
    pub(in crate::record) fn give_back_to(&self, before: i64, cut: i64) {
        if cut != before {
            self.base.add(cut.wrapping_sub(before) as u64);
        }
        self.count_down_to(cut);
    }

    /// Sets the countdown; what has been allocated stays as it was.
    pub(in crate::record) fn move_countdown(&self, to: i64) {
        let moves = self.moves.load(Ordering::Relaxed);
        self.moves.store(moves.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the fence in `read_allocated`.
        fence(Ordering::Release);
        let from = self.countdown.load(Ordering::Relaxed);
        self.countdown.store(to as u64, Ordering::Relaxed);
        self.base.add((to as u64).wrapping_sub(from));
        self.moves.store(moves.wrapping_add(2), Ordering::Release);
    }

    #[inline(always)]
    pub(in crate::record) fn count_alloc(&self) {
        self.allocations.add(1);
    }

    #[inline(always)]
    pub(in crate::record) fn count_free(&self, size: usize) {
        self.frees.add(1);
        self.freed_bytes.add(size as u64);
    }

    /// Counts an allocation whose bytes the countdown does not have.
    pub(in crate::record) fn count_alloc_of(&self, size: usize) {
        self.base.add(size as u64);
        self.allocations.add(1);
    }

    #[inline(always)]
    pub(in crate::record) fn unlisted(&self) -> u8 {
        self.unlisted.get()
    }

    pub(super) fn frees_only(&self) -> ExactCounts {
        ExactCounts {
            freed_bytes: self.freed_bytes.get(),
            frees: self.frees.get(),
            ..ExactCounts::default()
        }
    }

    pub(super) fn allocs_only(&self) -> ExactCounts {
        ExactCounts {
            allocated_bytes: self.read_allocated(),
            allocations: self.allocations.get(),
            ..ExactCounts::default()
        }
    }

    pub(super) fn all(&self) -> ExactCounts {
        let mut all = self.frees_only();
        all.add(self.allocs_only());
        all
    }

    /// Of the calling thread: nothing is being moved, or by what a signal handler has interrupted.
    pub(super) fn own(&self) -> ExactCounts {
        let mut own = self.frees_only();
        own.allocated_bytes = self.difference();
        own.allocations = self.allocations.get();
        own
    }

    fn read_allocated(&self) -> u64 {
        // A thread that lost its processor in the middle of a move may stay there for long.
        for attempt in 0..10_000_u32 {
            let before = self.moves.load(Ordering::Acquire);
            let allocated = self.difference();
            // Pairs with the fence in `move_countdown`.
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.moves.load(Ordering::Relaxed) == before {
                return allocated;
            }
            wait(attempt);
        }
        self.difference()
    }

    fn difference(&self) -> u64 {
        let countdown = self.countdown.load(Ordering::Relaxed);
        self.base.get().wrapping_sub(countdown)
    }

    pub(super) fn forget(&self) {
        for tally in [&self.allocations, &self.frees, &self.freed_bytes] {
            tally.0.store(0, Ordering::Relaxed);
        }
        let countdown = self.countdown.load(Ordering::Relaxed);
        self.base.0.store(countdown, Ordering::Relaxed);
    }
}
