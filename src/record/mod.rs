//! Stage one, inside malloc: decide whether an allocation is sampled, remember it, recognise its free.
//!
//! This room uses `core`, `libc` and one `const` thread-local. Nothing in it allocates through the global allocator,
//! locks, panics, parks, formats or calls out: its tables are lock-free and live in mappings of their own, so that
//! they are valid at every instruction, for a signal handler, for a fork child and for a snapshot.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable
)]

mod arena;
mod birth;
mod buckets;
mod busy;
mod counters;
mod drops;
mod entries;
mod environment;
mod exact;
mod filter;
mod folded;
mod label_set;
mod len;
mod live;
mod live_records;
mod payload;
mod random;
mod rate;
mod set_limits;
mod shared;
mod thread;
mod trace;

use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::limits::Limits;
use crate::stack::{self, Delta, OwnFrame, Stack, loader_lock};

use self::birth::Birth;
#[cfg(feature = "http")]
pub(crate) use self::birth::Now;
pub(crate) use self::buckets::Bucket;
use self::buckets::{Buckets, Key};
pub(crate) use self::busy::Busy;
pub(crate) use self::counters::counters;
use self::drops::Drops;
use self::entries::Entries;
pub(crate) use self::entries::{enter, entered, exit};
pub(crate) use self::environment::RATE_VARIABLE;
use self::environment::RateVariable;
use self::exact::Exact;
pub use self::exact::ExactCounts;
use self::folded::Folded;
pub(crate) use self::folded::FoldedTotals;
pub use self::label_set::LabelSet;
use self::live::{Held, Live};
pub(crate) use self::live_records::live_records;
use self::payload::Payload;
use self::random::Seeds;
#[cfg(test)]
pub(crate) use self::random::SplitMix;
use self::rate::Rate;
use self::set_limits::SetLimits;
use self::thread::Thread;
pub(crate) use self::trace::stack_of_allocation;

/// What the program's source asks for, until the environment or the API says otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) rate: usize,
    pub(crate) limits: Limits,
    /// Whether everything is counted, not the samples alone.
    pub(crate) counts_exactly: bool,
    /// Whether the inner allocator is known to be the system's.
    pub(crate) is_system: bool,
}

/// All that the profiler knows: one per process, because a process has one global allocator.
static RECORD: Record = Record::new();

#[derive(Debug)]
struct Record {
    rate: Rate,
    delta: Delta,
    live: Live,
    buckets: Buckets,
    folded: Folded,
    entries: Entries,
    seeds: Seeds,
    limits: SetLimits,
    drops: Drops,
    exact: Exact,
    /// `DEBUG_PPROF_RATE` was set to something that is no rate, and nobody has been told.
    bad_rate_variable: AtomicBool,
    /// The wrapper's `Defaults::is_system`.
    is_system: AtomicBool,
}

impl Record {
    const fn new() -> Self {
        Self {
            rate: Rate::new(),
            delta: Delta::new(),
            live: Live::new(),
            buckets: Buckets::new(),
            folded: Folded::new(),
            entries: Entries::new(),
            seeds: Seeds::new(),
            limits: SetLimits::new(Limits::DEFAULT),
            drops: Drops::new(),
            exact: Exact::new(),
            bad_rate_variable: AtomicBool::new(false),
            is_system: AtomicBool::new(false),
        }
    }

    /// At the first allocation of the process: takes over the program's defaults and the environment.
    #[cold]
    #[inline(never)]
    fn start(&self, defaults: &Defaults) {
        loader_lock::is_free_here();
        self.is_system.store(defaults.is_system, Ordering::Relaxed);
        if defaults.counts_exactly {
            self.exact.start();
        }
        self.limits.set(&defaults.limits);
        let rate = match RateVariable::read() {
            RateVariable::Bytes(bytes) => bytes,
            RateVariable::Unset => defaults.rate,
            RateVariable::Bad => {
                self.bad_rate_variable.store(true, Ordering::Relaxed);
                defaults.rate
            }
        };
        self.rate.set_first(rate);
    }
}

/// Counts an allocation of `size` bytes. True if it must go through `alloc_slow`: the countdown ran out, or the rate
/// is not the one it was drawn under.
#[inline(always)]
pub(crate) fn countdown(size: usize) -> bool {
    Thread::with(|thread| {
        // No wrap: a countdown is not negative here (but for one of a trace, which asks for little), and a `Layout`
        // holds at most `isize::MAX` bytes.
        let left = thread.counts.countdown().wrapping_sub(size as i64);
        thread.counts.count_down_to(left);
        RECORD.rate.word().is_above(left)
    })
}

/// An allocation of so many bytes that `countdown` was not sure of, its bytes given back until it is decided.
#[derive(Debug)]
pub(crate) struct Undecided(usize);

/// Gives back the bytes that `countdown` has just counted, so that what the inner allocator may allocate meanwhile finds
/// things as they were.
pub(crate) fn take_back(size: usize) -> Undecided {
    Thread::with(|thread| {
        let before = thread.counts.countdown().wrapping_add(size as i64);
        let cut = if thread.is_suspended() {
            before
        } else {
            RECORD.rate.word().cut(before)
        };
        // One store: a signal handler never finds more than what is left.
        thread.counts.give_back_to(before, cut);
    });
    Undecided(size)
}

/// Counts an allocation anew, decides about it, and records it if it is a sample. `block` is null if it failed.
#[inline(never)]
pub(crate) fn alloc_slow(
    Undecided(size): Undecided,
    block: *mut u8,
    defaults: &Defaults,
    own_frame: OwnFrame,
) {
    Thread::with(|thread| {
        // From here on the countdown only moves: these bytes are counted.
        if !block.is_null() {
            thread.counts.count_alloc_of(size);
        }
        let Some(busy) = Busy::enter(thread) else {
            RECORD.drops.nested.fetch_add(1, Ordering::Relaxed);
            return;
        };
        decide(&busy, thread, size, block.addr(), defaults, own_frame);
        if defaults.counts_exactly {
            RECORD.exact.settle(thread);
        }
        busy.leave();
    });
}

fn decide(
    busy: &Busy<'_>,
    thread: &Thread,
    size: usize,
    block: usize,
    defaults: &Defaults,
    own_frame: OwnFrame,
) {
    if block == 0 && thread.is_suspended() {
        // Only a request near `isize::MAX` gets here, and it fails.
        return;
    }
    if trace::answer(&RECORD.delta, thread, busy, own_frame) {
        return;
    }
    if RECORD.rate.word().rate().is_none() {
        RECORD.start(defaults);
    }
    let word = RECORD.rate.word();
    // A thread's first allocation, and its first under a new rate, draw the gap that it should have had and are
    // tested against it like any other.
    let before = thread.counts.countdown();
    let before = if word.is_above(before) {
        word.draw(thread.random.uniform(&RECORD.seeds))
    } else {
        before
    };
    let left = before.wrapping_sub(size as i64);
    thread.counts.move_countdown(left);
    if !word.is_above(left) {
        return;
    }
    // A request that failed is nothing to record. It has used up its bytes like any other: giving them back here,
    // where the countdown is short, and not on the fast path, would leave short countdowns for what comes next.
    if let Some(rate @ 1..) = word.rate()
        && block != 0
    {
        if stack::has_room(&RECORD.delta, busy) {
            sample(busy, block, size, rate, own_frame);
        } else {
            count_sample(busy, block, size, rate, Stack::NONE);
        }
    }
    // Last: until here the countdown is below the word, so an allocation by a signal handler comes to the slow path,
    // is turned away by `Busy`, and uses up nothing of a gap that nobody has tested it against.
    thread
        .counts
        .move_countdown(word.draw(thread.random.uniform(&RECORD.seeds)));
}

/// Records a sampled allocation with its call stack.
#[inline(never)]
fn sample(busy: &Busy<'_>, block: usize, size: usize, rate: usize, own_frame: OwnFrame) {
    let mut stack = Stack::new();
    stack::capture(
        &RECORD.delta,
        busy.own_stack(),
        own_frame,
        limits().depth,
        &mut stack,
    );
    count_sample(busy, block, size, rate, &stack);
}

/// Records a sampled allocation.
#[inline(never)]
fn count_sample(busy: &Busy<'_>, block: usize, size: usize, rate: usize, stack: &Stack) {
    let limits = limits();
    let labels = busy.labels();
    let key = Key {
        stack,
        size,
        rate,
        labels,
    };
    let payload = match RECORD.buckets.find_or_insert(busy, key, limits.buckets) {
        Ok(bucket) => {
            if bucket.labels() != labels {
                RECORD.drops.labels.fetch_add(1, Ordering::Relaxed);
            }
            Payload::of(bucket)
        }
        Err(cause) => {
            RECORD.drops.count(cause, &RECORD.drops.bucket_limit);
            Payload::Folded { rate }
        }
    };
    if let Payload::Mixed(_) = payload {
        RECORD.drops.mixed_sizes.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(stale) = RECORD.live.retire_stale(busy.shard(), block) {
        // Its size is known only to its bucket. Where sizes are mixed, or folded, it stays in the bytes in use.
        Payload::unpack(stale).count_free(&RECORD.folded, 0);
    }
    let kept = RECORD
        .live
        .insert(busy, block, payload.pack(), Birth::now, limits.live_records);
    payload.count_alloc(&RECORD.folded, size);
    if let Err(cause) = kept {
        // Its free will not be recognised, so it counts as freed at once: allocated totals stay true, and in-use
        // does not grow for ever.
        RECORD.drops.count(cause, &RECORD.drops.live_limit);
        payload.count_free(&RECORD.folded, size);
    }
}

/// The calling thread's stack, outside malloc, without the frames that `own_frame` covers: as deep as those of samples. Not
/// for signal handlers.
#[cfg(feature = "http")]
pub(crate) fn stack_here(own_frame: OwnFrame) -> Stack {
    stack_here_of(own_frame, limits().depth)
}

/// `stack_here` of so many words from the leaf at most.
#[cfg(feature = "http")]
pub(crate) fn stack_here_of(own_frame: OwnFrame, depth: usize) -> Stack {
    let mut stack = Stack::new();
    Thread::with(|thread| {
        // `backtrace` does not allocate, and if it did, that were none of the program's.
        if let Some(busy) = Busy::enter(thread) {
            stack::capture(
                &RECORD.delta,
                busy.own_stack(),
                own_frame,
                depth,
                &mut stack,
            );
            busy.leave();
        }
    });
    stack
}

/// Whether the block at `block` may have been sampled. False is certain.
#[inline(always)]
pub(crate) fn may_contain(block: *mut u8) -> bool {
    RECORD.live.may_contain(block.addr())
}

/// `may_contain` where all is counted: true also if the thread is not among those whose counts are summed.
#[inline]
pub(crate) fn may_contain_or_is_unlisted(block: *mut u8) -> bool {
    Thread::with(|thread| RECORD.live.hits(block.addr()) | thread.counts.unlisted() != 0)
}

/// Counts an allocation whose bytes `countdown` has counted.
#[inline]
pub(crate) fn count_alloc() {
    Thread::with(|thread| thread.counts.count_alloc());
}

/// Counts a free.
#[inline]
pub(crate) fn count_free(size: usize) {
    Thread::with(|thread| thread.counts.count_free(size));
}

/// Lists the thread among those whose counts are summed, or hands them over if it has been taken off.
#[cold]
#[inline(never)]
pub(crate) fn settle_counts() {
    Thread::with(|thread| {
        if thread.counts.unlisted() != 0
            && let Some(busy) = Busy::enter(thread)
        {
            RECORD.exact.settle(thread);
            busy.leave();
        }
    });
}

/// What has been allocated and freed since the start, exactly: everything that went through the allocator, the profiler's
/// own included. None if it is not counted.
pub(crate) fn exact_counts() -> Option<ExactCounts> {
    RECORD.exact.read()
}

/// Retires the record of a block that is about to be freed, if it has one. Works at any time: in a signal handler,
/// inside the profiler, while sampling is off.
#[cold]
#[inline(never)]
pub(crate) fn dealloc_slow(block: *mut u8, size: usize) {
    if let Some(payload) = RECORD
        .live
        .retire(Thread::with(Thread::shard), block.addr())
    {
        Payload::unpack(payload).count_free(&RECORD.folded, size);
    }
}

/// A sampled block's record, held while the inner allocator reallocates the block.
pub(crate) type HeldRecord = Held<'static>;

/// Holds the record of a block that is about to be reallocated, if it has one.
#[cold]
#[inline(never)]
pub(crate) fn realloc_hold(block: *mut u8) -> Option<HeldRecord> {
    RECORD.live.hold(block.addr())
}

/// Settles a held record: the block is as it was if `moved` is null, gone otherwise. `size` is its size before.
#[cold]
#[inline(never)]
pub(crate) fn realloc_settle(held: HeldRecord, size: usize, moved: *mut u8) {
    if moved.is_null() {
        RECORD.live.restore(held);
    } else {
        Payload::unpack(RECORD.live.release(Thread::with(Thread::shard), held))
            .count_free(&RECORD.folded, size);
    }
}

/// The rate in force in bytes, 0 if nothing is sampled; None before the first allocation through a
/// wrapper: no wrapper is the global allocator.
pub(crate) fn sample_rate() -> Option<usize> {
    RECORD.rate.word().rate()
}

/// Takes the news, once, that `DEBUG_PPROF_RATE` holds no rate. Nothing may be written where it was found out.
pub(crate) fn take_bad_rate_variable() -> bool {
    RECORD.bad_rate_variable.swap(false, Ordering::Relaxed)
}

/// An address in the variables of each thread that has allocated or freed.
pub(crate) fn thread_variables() -> impl Iterator<Item = usize> {
    RECORD.exact.thread_variables()
}

/// Whether the inner allocator is known to be the system's.
pub(crate) fn wraps_the_system() -> bool {
    RECORD.is_system.load(Ordering::Relaxed)
}

/// Sets the rate for all threads, from their next allocation on.
pub(crate) fn set_sample_rate(bytes: usize) {
    RECORD.rate.set(bytes);
}

/// The labels in force on the calling thread. In a signal handler, those of what it interrupted.
pub(crate) fn labels() -> LabelSet {
    Thread::with(|thread| thread.labels.get())
}

/// Puts labels in force on the calling thread, and returns those that were.
pub(crate) fn replace_labels(labels: LabelSet) -> LabelSet {
    Thread::with(|thread| thread.labels.replace(labels))
}

/// The limits in force.
pub(crate) fn limits() -> Limits {
    RECORD.limits.get()
}

/// The tables that call stacks are walked by.
pub(crate) fn delta() -> &'static Delta {
    &RECORD.delta
}

/// A number of this process that no fork child of it has, nor any of its ancestors. It is never 0.
pub(crate) fn process() -> u64 {
    RECORD.seeds.identity()
}

/// The same without a system call, where the kernel wipes a page in fork children: since 4.14. Elsewhere it is 1 everywhere.
#[cfg(feature = "http")]
pub(crate) fn generation() -> u64 {
    RECORD.seeds.process()
}

/// All buckets there are.
pub(crate) fn buckets() -> impl Iterator<Item = &'static Bucket> {
    RECORD.buckets.iter()
}

/// Sampled (allocs, frees) that have no bucket.
pub(crate) fn folded() -> (FoldedTotals, FoldedTotals) {
    RECORD.folded.totals()
}

/// Stops sampling on this thread until it is dropped. What is allocated meanwhile does not count towards the next
/// sample; frees of sampled blocks are processed as ever.
#[derive(Debug)]
pub(crate) struct Suspended(PhantomData<*const ()>);

impl Suspended {
    pub(crate) fn new() -> Self {
        Thread::with(Thread::suspend);
        Suspended(PhantomData)
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        Thread::with(Thread::resume);
    }
}
