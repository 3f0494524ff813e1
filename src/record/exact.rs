//! Exact counts: what every thread has allocated and freed, summed when somebody asks.
//!
//! ```text
//! thread-local counts ◀─ three additions in an alloc and its free, no read-modify-write that others see
//!        ▲ listed at a thread's first visit of the slow path, by a free as well
//! slots (pages of 255) ──▶ read: Σ slots + ended + late
//!        │ a thread ends: the destructor of a POSIX key
//!        ▼
//! ended (two copies, one in force) and, for what destructors after that one do, late
//! ```
//!
//! Inside malloc a thread only takes a slot, by compare-exchange. The lock is for readers and for the ends of threads,
//! neither of which is inside malloc: it keeps a thread's memory in place while it is read.

mod counts;
mod ended;
mod hooks;
mod lock;
mod slots;

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

pub(in crate::record) use self::counts::Counts;
use self::ended::{Ended, Total};
use self::hooks::thread_ends;
use self::lock::Lock;
use self::slots::{Slot, Slots};
use super::thread::Thread;

/// What has been allocated and freed since the start, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExactCounts {
    /// Bytes allocated, as requested.
    pub allocated_bytes: u64,
    /// Allocations; a `realloc` is one, and one free.
    pub allocations: u64,
    /// Bytes freed, as requested.
    pub freed_bytes: u64,
    /// Frees.
    pub frees: u64,
}

impl ExactCounts {
    /// Bytes allocated and not yet freed.
    pub fn inuse_bytes(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.freed_bytes)
    }

    /// Blocks allocated and not yet freed.
    pub fn inuse_objects(&self) -> u64 {
        self.allocations.saturating_sub(self.frees)
    }

    fn add(&mut self, other: Self) {
        self.allocated_bytes = self.allocated_bytes.wrapping_add(other.allocated_bytes);
        self.allocations = self.allocations.wrapping_add(other.allocations);
        self.freed_bytes = self.freed_bytes.wrapping_add(other.freed_bytes);
        self.frees = self.frees.wrapping_add(other.frees);
    }
}

/// All threads' counts.
#[derive(Debug)]
pub(super) struct Exact {
    /// `NO_KEY`, `MAKING_KEY`, `USELESS_KEY`, or the key plus `FIRST_KEY`.
    key: AtomicU32,
    slots: Slots,
    ended: Total,
    late: Ended,
    lock: Lock,
}

const NO_KEY: u32 = 0;
const MAKING_KEY: u32 = 1;
const USELESS_KEY: u32 = 2;
const FIRST_KEY: u32 = 3;
/// Up to here glibc keeps a key's value in the thread itself; for others it allocates.
const KEYS_WITHOUT_ALLOCATION: u32 = 32;

impl Exact {
    pub(super) const fn new() -> Self {
        Self {
            key: AtomicU32::new(NO_KEY),
            slots: Slots::new(),
            ended: Total::new(),
            late: Ended::new(),
            lock: Lock::new(),
        }
    }

    /// Bytes mapped.
    pub(super) fn mapped(&self) -> usize {
        self.slots.mapped()
    }

    /// Makes the key that tells of the ends of threads. At the first allocation of the process.
    pub(super) fn start(&self) {
        let claimed =
            self.key
                .compare_exchange(NO_KEY, MAKING_KEY, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        let mut key = 0;
        // SAFETY: `key` is there to be written; the destructor takes what `list` sets.
        let made = unsafe { libc::pthread_key_create(&mut key, Some(thread_ends)) };
        let state = if made == 0 && key < KEYS_WITHOUT_ALLOCATION {
            key + FIRST_KEY
        } else {
            USELESS_KEY
        };
        self.key.store(state, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.key.load(Ordering::Relaxed) >= FIRST_KEY
    }

    /// What a visit of the slow path owes: lists the thread, or, after its destructor, hands its counts over.
    pub(super) fn settle(&self, thread: &Thread) {
        let counts = &thread.counts;
        if counts.unlisted.get() == 0 {
            return;
        }
        if counts.is_late.get() {
            let all = counts.own();
            counts.forget();
            self.late.add(all);
            // The next allocation comes to the slow path as well; its gap is drawn there.
            if !thread.is_suspended() {
                counts.move_countdown(0);
            }
            return;
        }
        let key = self.key.load(Ordering::Relaxed);
        if key < FIRST_KEY {
            return;
        }
        // A signal handler that allocates from here on finds the thread listed.
        counts.unlisted.set(0);
        compiler_fence(Ordering::SeqCst);
        if self.list(counts, key - FIRST_KEY).is_none() {
            counts.unlisted.set(1);
        }
    }

    fn list(&self, counts: &Counts, key: libc::pthread_key_t) -> Option<()> {
        let slot = self.slots.take()?;
        slot.tid.store(own_tid(), Ordering::Relaxed);
        // SAFETY: the key was made by `start`; values of keys below 32 lie in the thread itself.
        let set = unsafe { libc::pthread_setspecific(key, ptr::from_ref(slot).cast()) };
        let counts = match set {
            // Release pairs with the Acquire of readers: they see the number.
            0 => ptr::from_ref(counts).cast_mut(),
            _ => ptr::null_mut(),
        };
        slot.counts.store(counts, Ordering::Release);
        (set == 0).then_some(())
    }

    pub(super) fn thread_variables(&self) -> impl Iterator<Item = usize> {
        let listed = self.slots.iter().filter_map(Slot::counts);
        listed.map(|counts| counts.as_ptr().addr())
    }

    /// The sum over all threads; None if nothing is counted. Not in a signal handler: it waits for other readers.
    pub(super) fn read(&self) -> Option<ExactCounts> {
        if !self.is_on() {
            return None;
        }
        let _held = self.lock.take(super::process());
        self.drop_the_lost();
        let mut sum = self.late.get();
        sum.add(self.ended.get());
        // All frees first: a block that changes hands meanwhile is not freed before it is allocated.
        let reads: [fn(&Counts) -> ExactCounts; 2] = [Counts::frees_only, Counts::allocs_only];
        for read in reads {
            for counts in self.slots.iter().filter_map(Slot::counts) {
                // SAFETY: a listed thread takes itself off, under this lock, before its memory goes; those that could
                // not have been dropped above.
                sum.add(read(unsafe { counts.as_ref() }));
            }
        }
        Some(sum)
    }

    /// Takes off threads that ended without their destructors, by the system call, and that are lost to the total.
    fn drop_the_lost(&self) {
        // SAFETY: asks for a number.
        let process = unsafe { libc::getpid() };
        for slot in self.slots.iter().filter(|slot| slot.counts().is_some()) {
            let tid = slot.tid.load(Ordering::Relaxed);
            // SAFETY: signal 0 is none; it only asks whether the thread is there.
            let answer = unsafe { libc::syscall(libc::SYS_tgkill, process, tid, 0) };
            let is_lost = answer != 0 && {
                // SAFETY: asks where the calling thread's is.
                let errno = unsafe { libc::__errno_location() };
                // SAFETY: it is there as long as the thread.
                unsafe { *errno == libc::ESRCH }
            };
            if is_lost {
                slot.counts.store(ptr::null_mut(), Ordering::Relaxed);
            }
        }
    }

    /// The calling thread ends. Inline: `extern "C"` functions guard against the panics of what the compiler knows nothing of.
    #[inline]
    fn thread_ends(&self, slot: &Slot, thread: &Thread) {
        let held = self.lock.take(super::process());
        self.ended.fold(slot, &thread.counts);
        drop(held);
        thread.counts.forget();
        thread.counts.is_late.set(true);
        thread.counts.unlisted.set(1);
        // The next allocation comes to the slow path.
        if !thread.is_suspended() {
            thread.counts.move_countdown(0);
        }
    }

    /// In a fork child: what its parent's other threads had counted is folded, while their memory is still there.
    fn after_fork(&self, own: &Counts) {
        let last = self.ended.last();
        for slot in self.slots.iter() {
            match slot.counts() {
                Some(counts) if ptr::eq(counts.as_ptr(), own) => {
                    slot.tid.store(own_tid(), Ordering::Relaxed);
                }
                Some(_) if ptr::eq(last, slot) => {
                    slot.counts.store(ptr::null_mut(), Ordering::Relaxed);
                }
                // SAFETY: the parent's threads had their memory at the fork, and this process has a copy.
                Some(counts) => self.ended.fold(slot, unsafe { counts.as_ref() }),
                // Free, or being taken by a thread that is not here.
                None => slot.counts.store(ptr::null_mut(), Ordering::Relaxed),
            }
        }
    }
}

fn own_tid() -> i32 {
    // SAFETY: asks for a number. Not `gettid`, which is younger than the oldest glibc that we run on.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}
