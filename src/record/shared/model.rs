//! Atomics whose threads a model runs: loom in every order, with every value that a weak memory may show, or shuttle in
//! random orders.
//!
//! A word is laid out as core's: constant, and zero in zeroed pages. Its counterpart in loom is found by its address, and
//! given out when it is first touched, from those that were made before there were threads: as with zeroed pages, its
//! first value is there for all. Whether a thread may know of the pages at all is checked at every touch.
//!
//! Loom takes `SeqCst` for `AcqRel`, but knows fences. So between a thread's `SeqCst` write and its next `SeqCst` load there
//! is one, as on x86, which is the least that makes the second see what was written before the first.
//!
//! Loom looks for orders to try where an operation meets the last one on its word, and remembers no load but the last. So
//! where a thread loads a word and then writes it, as claims and counters do, the loads of others before its own would be
//! lost. `Counterpart` keeps them.

use core::cell::{Cell, RefCell, UnsafeCell};
use core::mem::size_of;
use core::ops::Range;
use core::ptr::NonNull;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Ordering;
use crate::pages;

pub(in crate::record) type AtomicIsize = Atomic<isize>;
pub(in crate::record) type AtomicPtr<T> = Atomic<*mut T>;
pub(in crate::record) type AtomicU8 = Atomic<u8>;
pub(in crate::record) type AtomicU32 = Atomic<u32>;
pub(in crate::record) type AtomicU64 = Atomic<u64>;
pub(in crate::record) type AtomicUsize = Atomic<usize>;

/// A word that threads of a model share.
#[derive(Debug)]
#[repr(transparent)]
pub(in crate::record) struct Atomic<W>(UnsafeCell<W>);

// SAFETY: all threads of a model are run by one thread of the system, in turns that end only at `Atomic::turn` and in
// loom's own operations, when no reference into the cell is held.
unsafe impl<W> Sync for Atomic<W> {}
// SAFETY: as above.
unsafe impl<W> Send for Atomic<W> {}

/// What a word can hold, as 64 bits.
pub(in crate::record) trait Word: Copy + PartialEq {
    fn bits(self) -> u64;
    fn of(bits: u64) -> Self;
}

impl<T> Word for *mut T {
    fn bits(self) -> u64 {
        self.expose_provenance() as u64
    }
    fn of(bits: u64) -> Self {
        core::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

/// An integer.
pub(in crate::record) trait Count: Word + PartialOrd {}

macro_rules! counts {
    ($($int:ty)*) => {$(
        impl Word for $int {
            fn bits(self) -> u64 {
                self as u64
            }
            fn of(bits: u64) -> Self {
                bits as $int
            }
        }
        impl Count for $int {}
    )*};
}
counts!(isize u8 u32 u64 usize);

type LoomWord = Rc<loom::sync::atomic::AtomicU64>;

/// A word's counterpart in loom.
#[derive(Debug, Clone)]
struct Counterpart {
    /// The word less its first value.
    grown: LoomWord,
    first: u64,
    /// Words that are written before each load by a thread, and before each write by another: loom thus sees that these
    /// two meet.
    readers: Rc<RefCell<Vec<(loom::thread::ThreadId, LoomWord)>>>,
}

/// One run of a model by loom.
#[derive(Debug, Default)]
struct Run {
    given: HashMap<usize, Counterpart>,
    free: Vec<LoomWord>,
    /// Mapped pages, each with a cell that the thread that mapped them has written to.
    pages: Vec<(Range<usize>, Rc<loom::cell::UnsafeCell<()>>)>,
}

/// Words that a run may touch.
const WORDS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checker {
    Loom,
    Shuttle,
}

std::thread_local! {
    static CHECKER: Cell<Option<Checker>> = const { Cell::new(None) };
    static RUN: RefCell<Run> = RefCell::default();
}

loom::thread_local! {
    /// Whether the thread's last `SeqCst` operation was a write.
    static WROTE: Cell<bool> = Cell::new(false);
}

/// Runs `model` in every order of its threads with at most as many preemptions as `LOOM_MAX_PREEMPTIONS` says, or
/// `preemptions`.
pub(in crate::record) fn every_order(preemptions: usize, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    // How often it looks at LOOM_MAX_DURATION.
    builder.checkpoint_interval = 1_000;
    CHECKER.set(Some(Checker::Loom));
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = runs.clone();
    let started = std::time::Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        RUN.set(Run {
            free: (0..WORDS).map(|_| Rc::default()).collect(),
            ..Run::default()
        });
        model();
    });
    CHECKER.set(None);
    let (runs, took) = (runs.load(Ordering::Relaxed), started.elapsed());
    let looked = (runs + 1).is_multiple_of(builder.checkpoint_interval);
    let cut_off = looked && builder.max_duration.is_some_and(|most| took >= most);
    println!(
        "{}: {} {runs} orders with at most {} preemptions in {:.1} s",
        model_name(),
        if cut_off { "the first" } else { "all" },
        builder.preemption_bound.unwrap_or(0),
        took.as_secs_f32(),
    );
}

/// Runs `model` in as many random orders as `DEBUG_PPROF_ORDERS` says, or `orders`, from the seed in `DEBUG_PPROF_SEED`, or
/// one of the moment.
pub(in crate::record) fn random_orders(orders: usize, model: fn()) {
    let given = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = given("DEBUG_PPROF_SEED").unwrap_or(now.expect("a clock").as_nanos() as u64);
    let orders = given("DEBUG_PPROF_ORDERS").map_or(orders, |orders| orders as usize);
    println!(
        "{}: {orders} orders from DEBUG_PPROF_SEED={seed}",
        model_name()
    );
    let mut config = shuttle::Config::new();
    config.stack_size = 256 * 1024;
    let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(seed, orders);
    CHECKER.set(Some(Checker::Shuttle));
    shuttle::Runner::new(scheduler, config).run(model);
    CHECKER.set(None);
}

/// The test's.
fn model_name() -> String {
    let thread = std::thread::current();
    let path = thread.name().unwrap_or("?");
    path.rsplit("::").next().unwrap_or(path).to_owned()
}

/// A thread of the model that runs.
#[derive(Debug)]
pub(in crate::record) enum JoinHandle<T> {
    Loom(loom::thread::JoinHandle<T>),
    Shuttle(shuttle::thread::JoinHandle<T>),
}

pub(in crate::record) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match CHECKER.get().expect("a model runs") {
        Checker::Loom => JoinHandle::Loom(loom::thread::spawn(work)),
        Checker::Shuttle => JoinHandle::Shuttle(shuttle::thread::spawn(work)),
    }
}

impl<T: 'static> JoinHandle<T> {
    pub(in crate::record) fn join(self) -> T {
        match self {
            JoinHandle::Loom(thread) => thread.join().expect("no panic"),
            JoinHandle::Shuttle(thread) => thread.join().expect("no panic"),
        }
    }
}

/// Runs each of `works` on a thread of its own, the last on this one, and waits for all.
pub(in crate::record) fn at_once<S: Send + Sync + 'static>(shared: &Arc<S>, works: &[fn(&S)]) {
    let Some((here, elsewhere)) = works.split_last() else {
        return;
    };
    let start = |work: &fn(&S)| {
        let (shared, work) = (shared.clone(), *work);
        spawn(move || work(&shared))
    };
    let threads: Vec<_> = elsewhere.iter().map(start).collect();
    here(shared);
    threads.into_iter().for_each(JoinHandle::join);
}

/// How a block goes from one thread to another: with the program's own synchronisation.
#[derive(Debug)]
pub(in crate::record) struct Hand(AtomicUsize);

impl Hand {
    pub(in crate::record) const fn empty() -> Self {
        Self(Atomic::new(0))
    }

    pub(in crate::record) fn give(&self, block: usize) {
        self.0.store(block, Ordering::Release);
    }

    /// What was given, if the giver has come to it. For one taker.
    pub(in crate::record) fn take(&self) -> Option<usize> {
        let block = Some(self.0.load(Ordering::Acquire)).filter(|block| *block != 0);
        if block.is_some() {
            self.0.store(0, Ordering::Relaxed);
        }
        block
    }
}

impl<W: Word> Atomic<W> {
    pub(in crate::record) const fn new(value: W) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The word's counterpart in loom; none in shuttle, whose words are their own.
    fn turn(&self) -> Option<Counterpart> {
        match CHECKER.get().expect("a model runs") {
            Checker::Shuttle => {
                shuttle::thread::yield_now();
                None
            }
            Checker::Loom => Some(RUN.with_borrow_mut(|run| {
                let address = self.0.get().addr();
                for (pages, mapped) in &run.pages {
                    if pages.contains(&address) {
                        // Loom's complaint if this thread has not synchronised with the one that mapped them.
                        mapped.with(|_| ());
                    }
                }
                let Run { given, free, .. } = run;
                let give = || Counterpart {
                    grown: free.pop().expect("more WORDS"),
                    first: self.get().bits(),
                    readers: Rc::default(),
                };
                given.entry(address).or_insert_with(give).clone()
            })),
        }
    }

    fn get(&self) -> W {
        // SAFETY: see the implementation of `Sync`.
        unsafe { *self.0.get() }
    }

    fn set(&self, value: W) {
        // SAFETY: see the implementation of `Sync`.
        unsafe { *self.0.get() = value }
    }

    pub(in crate::record) fn load(&self, order: Ordering) -> W {
        if let Some(word) = self.turn() {
            word.meet_writers();
            fence_before_load(order);
            return word.value(word.grown.load(order));
        }
        self.get()
    }

    pub(in crate::record) fn store(&self, value: W, order: Ordering) {
        let Some(word) = self.turn() else {
            return self.set(value);
        };
        word.meet_readers();
        word.grown.store(word.less(value), order);
        note_write(order);
    }

    pub(in crate::record) fn compare_exchange(
        &self,
        from: W,
        to: W,
        success: Ordering,
        failure: Ordering,
    ) -> Result<W, W> {
        if let Some(word) = self.turn() {
            word.meet_readers();
            let (from, to) = (word.less(from), word.less(to));
            let exchanged = word.grown.compare_exchange(from, to, success, failure);
            if exchanged.is_ok() {
                note_write(success);
            }
            return exchanged
                .map(|was| word.value(was))
                .map_err(|is| word.value(is));
        }
        let was = self.get();
        if was != from {
            return Err(was);
        }
        self.set(to);
        Ok(was)
    }

    pub(in crate::record) fn fetch_update(
        &self,
        success: Ordering,
        failure: Ordering,
        mut next: impl FnMut(W) -> Option<W>,
    ) -> Result<W, W> {
        let mut now = self.load(failure);
        while let Some(next) = next(now) {
            match self.compare_exchange(now, next, success, failure) {
                Ok(was) => return Ok(was),
                Err(is) => now = is,
            }
        }
        Err(now)
    }

    pub(in crate::record) fn get_mut(&mut self) -> &mut W {
        // After a failure the threads are as they happen to be, and nothing more is to be learnt.
        if !std::thread::panicking()
            && CHECKER.get() == Some(Checker::Loom)
            && let Some(word) = self.turn()
        {
            // SAFETY: `&mut self`. Loom complains if a thread may be writing still.
            self.set(word.value(unsafe { word.grown.unsync_load() }));
            RUN.with_borrow_mut(|run| run.given.remove(&self.0.get().addr()));
        }
        self.0.get_mut()
    }
}

impl<W: Count> Atomic<W> {
    pub(in crate::record) fn fetch_add(&self, more: W, order: Ordering) -> W {
        debug_assert_eq!(size_of::<W>(), 8, "what is carried over must be lost");
        let Some(word) = self.turn() else {
            let was = self.get();
            self.set(W::of(was.bits().wrapping_add(more.bits())));
            return was;
        };
        word.meet_readers();
        let was = word.grown.fetch_add(more.bits(), order);
        note_write(order);
        word.value(was)
    }

    pub(in crate::record) fn fetch_sub(&self, less: W, order: Ordering) -> W {
        self.fetch_add(W::of(less.bits().wrapping_neg()), order)
    }

    pub(in crate::record) fn fetch_max(&self, other: W, order: Ordering) -> W {
        let Some(word) = self.turn() else {
            let was = self.get();
            self.set(if other > was { other } else { was });
            return was;
        };
        assert_eq!(word.first, 0, "loom compares what has grown");
        word.meet_readers();
        let was = word.grown.fetch_max(other.bits(), order);
        note_write(order);
        word.value(was)
    }
}

impl Counterpart {
    fn meet_writers(&self) {
        let this = loom::thread::current().id();
        let mut readers = self.readers.borrow_mut();
        let mine = readers.iter().find(|(thread, _)| *thread == this);
        let mine = mine.map(|(_, word)| word.clone()).unwrap_or_else(|| {
            let word = RUN.with_borrow_mut(|run| run.free.pop().expect("more WORDS"));
            readers.push((this, word.clone()));
            word
        });
        drop(readers);
        mine.store(0, Ordering::Relaxed);
    }

    fn meet_readers(&self) {
        let this = loom::thread::current().id();
        let readers = self.readers.borrow().clone();
        for (thread, word) in readers {
            if thread != this {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    fn value<W: Word>(&self, grown: u64) -> W {
        W::of(self.first.wrapping_add(grown))
    }

    fn less<W: Word>(&self, value: W) -> u64 {
        value.bits().wrapping_sub(self.first)
    }
}

fn note_write(order: Ordering) {
    if order == Ordering::SeqCst {
        WROTE.with(|wrote| wrote.set(true));
    }
}

fn fence_before_load(order: Ordering) {
    if order == Ordering::SeqCst && WROTE.with(|wrote| wrote.replace(false)) {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

pub(in crate::record) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let pages = pages::map(bytes)?;
    if CHECKER.get() == Some(Checker::Loom) {
        let start = pages.as_ptr().addr();
        let mapped = Rc::new(loom::cell::UnsafeCell::new(()));
        mapped.with_mut(|_| ());
        RUN.with_borrow_mut(|run| run.pages.push((start..start + bytes, mapped)));
    }
    Some(pages)
}

pub(in crate::record) fn unmap(start: NonNull<u8>, bytes: usize) {
    if CHECKER.get() == Some(Checker::Loom) {
        let pages = start.as_ptr().addr()..start.as_ptr().addr() + bytes;
        RUN.with_borrow_mut(|run| {
            run.given.retain(|address, _| !pages.contains(address));
            run.pages.retain(|(range, mapped)| {
                let keep = *range != pages;
                if !keep && !std::thread::panicking() {
                    // Loom's complaint if a thread may be reading still.
                    mapped.with_mut(|_| ());
                }
                keep
            });
        });
    }
    pages::unmap(start, bytes);
}
