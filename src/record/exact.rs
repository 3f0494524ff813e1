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

use core::cell::Cell;
use core::ffi::c_void;
use core::hint;
use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence,
    fence,
};

use super::thread::Thread;
use crate::pages;

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
pub(super) struct Counts {
    countdown: AtomicU64,
    allocations: Tally,
    frees: Tally,
    freed_bytes: Tally,
    base: Tally,
    /// Odd while `base` and the countdown do not belong together.
    moves: AtomicU32,
    /// 1 unless the thread has a slot: its frees are to go through the slow path. One load, in place of a test.
    unlisted: Cell<u8>,
    /// The thread's key destructor has run: what is counted from now on has nobody to fold it but its slow path.
    is_late: Cell<bool>,
}

impl Counts {
    pub(super) const fn new() -> Self {
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
    pub(super) fn countdown(&self) -> i64 {
        self.countdown.load(Ordering::Relaxed) as i64
    }

    /// Sets the countdown as an allocation does, or takes one back: the bytes between count as allocated.
    #[inline(always)]
    pub(super) fn count_down_to(&self, left: i64) {
        self.countdown.store(left as u64, Ordering::Relaxed);
    }

    /// Takes the last allocation's bytes back: the countdown is `before` again, cut to `cut`.
    #[inline(always)]
    pub(super) fn give_back_to(&self, before: i64, cut: i64) {
        if cut != before {
            self.base.add(cut.wrapping_sub(before) as u64);
        }
        self.count_down_to(cut);
    }

    /// Sets the countdown; what has been allocated stays as it was.
    pub(super) fn move_countdown(&self, to: i64) {
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
    pub(super) fn count_alloc(&self) {
        self.allocations.add(1);
    }

    #[inline(always)]
    pub(super) fn count_free(&self, size: usize) {
        self.frees.add(1);
        self.freed_bytes.add(size as u64);
    }

    /// Counts an allocation whose bytes the countdown does not have.
    pub(super) fn count_alloc_of(&self, size: usize) {
        self.base.add(size as u64);
        self.allocations.add(1);
    }

    #[inline(always)]
    pub(super) fn unlisted(&self) -> u8 {
        self.unlisted.get()
    }

    fn frees_only(&self) -> ExactCounts {
        ExactCounts {
            freed_bytes: self.freed_bytes.get(),
            frees: self.frees.get(),
            ..ExactCounts::default()
        }
    }

    fn allocs_only(&self) -> ExactCounts {
        ExactCounts {
            allocated_bytes: self.read_allocated(),
            allocations: self.allocations.get(),
            ..ExactCounts::default()
        }
    }

    fn all(&self) -> ExactCounts {
        let mut all = self.frees_only();
        all.add(self.allocs_only());
        all
    }

    /// Of the calling thread: nothing is being moved, or by what a signal handler has interrupted.
    fn own(&self) -> ExactCounts {
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

    fn forget(&self) {
        for tally in [&self.allocations, &self.frees, &self.freed_bytes] {
            tally.0.store(0, Ordering::Relaxed);
        }
        let countdown = self.countdown.load(Ordering::Relaxed);
        self.base.0.store(countdown, Ordering::Relaxed);
    }
}

/// A listed thread.
#[derive(Debug)]
struct Slot {
    /// Null if the slot is free, `RESERVED` while it is being taken.
    counts: AtomicPtr<Counts>,
    tid: AtomicI32,
}

const RESERVED: *mut Counts = ptr::without_provenance_mut(1);
/// Of a chunk: with its link, a page.
const SLOTS: usize = 255;

#[derive(Debug)]
#[repr(C)]
struct Chunk {
    next: AtomicPtr<Chunk>,
    slots: [Slot; SLOTS],
}

/// Totals of threads that are gone, and the slot that the last of them had.
#[derive(Debug)]
struct Ended {
    allocated_bytes: AtomicU64,
    allocations: AtomicU64,
    freed_bytes: AtomicU64,
    frees: AtomicU64,
    last: AtomicPtr<Slot>,
}

impl Ended {
    const fn new() -> Self {
        Self {
            allocated_bytes: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            last: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn get(&self) -> ExactCounts {
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

    fn add(&self, more: ExactCounts) {
        self.freed_bytes
            .fetch_add(more.freed_bytes, Ordering::Relaxed);
        self.frees.fetch_add(more.frees, Ordering::Relaxed);
        self.allocated_bytes
            .fetch_add(more.allocated_bytes, Ordering::Relaxed);
        self.allocations
            .fetch_add(more.allocations, Ordering::Relaxed);
    }
}

/// All threads' counts.
#[derive(Debug)]
pub(super) struct Exact {
    /// `NO_KEY`, `MAKING_KEY`, `USELESS_KEY`, or the key plus `FIRST_KEY`.
    key: AtomicU32,
    first: AtomicPtr<Chunk>,
    /// Two copies, so that a thread's counts go from its slot to the total in one store: a fork child may be born at
    /// any time, and finds them in one place.
    ended: [Ended; 2],
    in_force: AtomicUsize,
    late: Ended,
    is_locked: AtomicBool,
    mapped: AtomicUsize,
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
            first: AtomicPtr::new(ptr::null_mut()),
            ended: [Ended::new(), Ended::new()],
            in_force: AtomicUsize::new(0),
            late: Ended::new(),
            is_locked: AtomicBool::new(false),
            mapped: AtomicUsize::new(0),
        }
    }

    /// Bytes mapped.
    pub(super) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
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
        let slot = self.take_slot()?;
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

    fn take_slot(&self) -> Option<&Slot> {
        loop {
            let first = self.first.load(Ordering::Acquire);
            if let Some(slot) = Self::take_slot_of(first) {
                return Some(slot);
            }
            let fresh = pages::map(size_of::<Chunk>())?.cast::<Chunk>();
            // SAFETY: a fresh mapping is zeroed, which is a chunk of free slots; nobody else has seen it.
            let link = unsafe { fresh.as_ref() };
            link.next.store(first, Ordering::Relaxed);
            // Release pairs with the Acquire in `slots`.
            match self.first.compare_exchange(
                first,
                fresh.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.mapped.fetch_add(size_of::<Chunk>(), Ordering::Relaxed);
                }
                Err(_) => pages::unmap(fresh.cast(), size_of::<Chunk>()),
            }
        }
    }

    /// Plain loops: without optimization, iterators take more stack than may be left.
    fn take_slot_of<'c>(mut chunk: *mut Chunk) -> Option<&'c Slot> {
        while !chunk.is_null() {
            // SAFETY: chunks are published whole and never unmapped.
            let this = unsafe { &*chunk };
            for slot in &this.slots {
                let counts = &slot.counts;
                let (free, taken) = (ptr::null_mut(), RESERVED);
                if counts.load(Ordering::Relaxed).is_null()
                    && let Ok(_) =
                        counts.compare_exchange(free, taken, Ordering::Acquire, Ordering::Relaxed)
                {
                    return Some(slot);
                }
            }
            chunk = this.next.load(Ordering::Acquire);
        }
        None
    }

    pub(super) fn thread_variables(&self) -> impl Iterator<Item = usize> {
        let listed = self.slots().filter_map(Slot::counts);
        listed.map(|counts| counts.as_ptr().addr())
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let mut chunk = self.first.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: chunks are published whole and never unmapped.
            let this = unsafe { NonNull::new(chunk)?.as_ref() };
            chunk = this.next.load(Ordering::Acquire);
            Some(this.slots.iter())
        })
        .flatten()
    }

    /// The sum over all threads; None if nothing is counted. Not in a signal handler: it waits for other readers.
    pub(super) fn read(&self) -> Option<ExactCounts> {
        if !self.is_on() {
            return None;
        }
        let _lock = Lock::take(&self.is_locked);
        self.drop_the_lost();
        let mut sum = self.late.get();
        sum.add(self.in_force().get());
        // All frees first: a block that changes hands meanwhile is not freed before it is allocated.
        let reads: [fn(&Counts) -> ExactCounts; 2] = [Counts::frees_only, Counts::allocs_only];
        for read in reads {
            for counts in self.slots().filter_map(Slot::counts) {
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
        for slot in self.slots().filter(|slot| slot.counts().is_some()) {
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

    fn in_force(&self) -> &Ended {
        let [even, odd] = &self.ended;
        match self.in_force.load(Ordering::Acquire) % 2 {
            0 => even,
            _ => odd,
        }
    }

    /// Moves a slot's counts to the total. Under the lock, or in a fork child that is alone.
    fn fold(&self, slot: &Slot, counts: &Counts) {
        let now = self.in_force.load(Ordering::Relaxed);
        let [even, odd] = &self.ended;
        let (old, new) = match now % 2 {
            0 => (even, odd),
            _ => (odd, even),
        };
        let mut sum = old.get();
        sum.add(counts.all());
        new.set(sum);
        new.last
            .store(ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
        // Here the counts change places. A fork child that finds the slot still taken sees that it is the last.
        self.in_force.store(now.wrapping_add(1), Ordering::Release);
        slot.counts.store(ptr::null_mut(), Ordering::Release);
        new.last.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// The calling thread ends.
    fn thread_ends(&self, slot: &Slot, thread: &Thread) {
        let lock = Lock::take(&self.is_locked);
        self.fold(slot, &thread.counts);
        drop(lock);
        thread.counts.forget();
        thread.counts.is_late.set(true);
        thread.counts.unlisted.set(1);
        // The next allocation comes to the slow path.
        if !thread.is_suspended() {
            thread.counts.move_countdown(0);
        }
    }

    /// In a fork child: what its parent's other threads had counted is folded, while their memory is still there, and a
    /// lock that one of them held is open.
    fn after_fork(&self, own: &Counts) {
        self.is_locked.store(false, Ordering::Relaxed);
        let last = self.in_force().last.load(Ordering::Relaxed);
        for slot in self.slots() {
            match slot.counts() {
                Some(counts) if ptr::eq(counts.as_ptr(), own) => {
                    slot.tid.store(own_tid(), Ordering::Relaxed);
                }
                Some(_) if ptr::eq(last, slot) => {
                    slot.counts.store(ptr::null_mut(), Ordering::Relaxed);
                }
                // SAFETY: the parent's threads had their memory at the fork, and this process has a copy.
                Some(counts) => self.fold(slot, unsafe { counts.as_ref() }),
                // Free, or being taken by a thread that is not here.
                None => slot.counts.store(ptr::null_mut(), Ordering::Relaxed),
            }
        }
    }
}

impl Slot {
    fn counts(&self) -> Option<NonNull<Counts>> {
        let counts = self.counts.load(Ordering::Acquire);
        NonNull::new(counts).filter(|counts| counts.as_ptr() != RESERVED)
    }
}

/// Keeps threads from ending, and other readers out.
struct Lock<'l>(&'l AtomicBool);

impl<'l> Lock<'l> {
    fn take(is_locked: &'l AtomicBool) -> Self {
        let mut attempt = 0;
        // Acquire pairs with the Release of `drop`.
        while is_locked.swap(true, Ordering::Acquire) {
            wait(attempt);
            attempt += 1;
        }
        Self(is_locked)
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn wait(attempt: u32) {
    if attempt < 100 {
        hint::spin_loop();
    } else {
        // SAFETY: gives the processor away.
        unsafe { libc::sched_yield() };
    }
}

fn own_tid() -> i32 {
    // SAFETY: asks for a number. Not `gettid`, which is younger than the oldest glibc that we run on.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// The destructor of the key.
extern "C" fn thread_ends(slot: *mut c_void) {
    let Some(slot) = NonNull::new(slot.cast::<Slot>()) else {
        return;
    };
    // SAFETY: the value of the key is the slot that this thread has taken; slots are never unmapped.
    let slot = unsafe { slot.as_ref() };
    Thread::with(|thread| {
        // In a fork child, or if the list was given up, it is not ours any more.
        let is_own = slot
            .counts()
            .is_some_and(|counts| ptr::eq(counts.as_ptr(), &thread.counts));
        if is_own {
            super::RECORD.exact.thread_ends(slot, thread);
        }
    });
}

extern "C" fn fork_child() {
    Thread::with(|thread| super::RECORD.exact.after_fork(&thread.counts));
}

extern "C" fn loaded() {
    // SAFETY: the handler runs in the child on its only thread. Forgotten by the C library when this object is unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(fork_child)) };
}

/// A library that is unloaded takes the key's destructor with it: no thread may call it then.
extern "C" fn unloaded() {
    let key = super::RECORD.exact.key.swap(USELESS_KEY, Ordering::Relaxed);
    if key >= FIRST_KEY {
        // SAFETY: `start` made it, and nobody uses it from here on.
        unsafe { libc::pthread_key_delete(key - FIRST_KEY) };
    }
}

// What must not be done inside malloc, because it allocates, is done when the program, or the library, is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;
#[used]
#[unsafe(link_section = ".fini_array")]
static UNLOADED: extern "C" fn() = unloaded;

const _: () = assert!(size_of::<Chunk>() == 4088);
