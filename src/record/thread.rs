//! What each thread keeps: its countdown to the next sample, its random state, its labels, and two flags.

use core::cell::Cell;
use core::ptr::{self, NonNull};

use super::exact::Counts;
use super::label_set::LabelSet;
use super::len::Shard;
use super::random::Random;
use crate::stack::{OwnStack, Stack};

/// One thread's sampling state. `const`-initialised and without a destructor, so touching it neither allocates nor
/// fails: before `main`, in thread-local destructors and in `atexit` too.
#[derive(Debug)]
pub(crate) struct Thread {
    /// The countdown, bytes until the next sample plus the rate word they were drawn under (see `rate.rs`), and what has
    /// been allocated and freed.
    pub(super) counts: Counts,
    /// The countdown that sampling goes on with when the last suspension ends.
    saved: Cell<i64>,
    /// Nested suspensions: above 0, nothing is sampled.
    suspensions: Cell<u32>,
    /// Inside the slow path: see `busy.rs`.
    pub(super) busy: Cell<bool>,
    /// What its samples are labelled with. One store of a word, so that a signal handler finds it whole.
    pub(super) labels: Cell<LabelSet>,
    pub(super) random: Random,
    /// Where the stack of the next allocation is wanted, if it is: see `trace.rs`.
    pub(super) trace: Cell<Option<NonNull<Stack>>>,
    /// Where a walk may read.
    pub(super) own_stack: OwnStack,
}

std::thread_local! {
    static THREAD: Thread = const { Thread::new() };
}

/// The countdown of a thread that does not sample: more than 2^62 above any rate word, and no thread allocates that
/// much.
pub(super) const SUSPENDED: i64 = i64::MAX;

impl Thread {
    const fn new() -> Self {
        Self {
            counts: Counts::new(),
            saved: Cell::new(0),
            suspensions: Cell::new(0),
            busy: Cell::new(false),
            labels: Cell::new(LabelSet::NONE),
            random: Random::unseeded(),
            trace: Cell::new(None),
            own_stack: OwnStack::unknown(),
        }
    }

    /// The state of a thread of a model.
    #[cfg(all(test, loom))]
    pub(super) fn numbered(number: u64) -> Self {
        let thread = Self::new();
        thread.random.set_number(number);
        thread
    }

    /// Runs `work` on the calling thread's state. Never fails: the state has no destructor.
    #[inline(always)]
    pub(super) fn with<R>(work: impl FnOnce(&Thread) -> R) -> R {
        // Not `THREAD.with(work)`: with much to do, std's function for it is called, and calls back.
        let thread = THREAD.with(ptr::from_ref);
        // SAFETY: a thread-local without a destructor is there as long as its thread, which is the one that runs this.
        work(unsafe { &*thread })
    }

    /// The part of the live records' count that this thread counts in.
    pub(super) fn shard(&self) -> Shard {
        Shard::of_thread(self.random.number())
    }

    /// Stops sampling on this thread until as many `resume` as `suspend` have been called. The bytes allocated in
    /// between do not count towards the next sample.
    pub(super) fn suspend(&self) {
        let nested = self.suspensions.get();
        if nested == 0 {
            self.saved.set(self.counts.countdown());
            self.counts.move_countdown(SUSPENDED);
        }
        self.suspensions.set(nested.saturating_add(1));
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspensions.get() > 0
    }

    pub(super) fn resume(&self) {
        let nested = self.suspensions.get().saturating_sub(1);
        self.suspensions.set(nested);
        if nested == 0 {
            self.counts.move_countdown(self.saved.get());
        }
    }
}
