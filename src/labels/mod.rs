//! Labels on samples: which tenant, which route, which job an allocation was for.
//!
//! A service that answers for many cannot tell from a stack for whom it holds its memory: all requests go through the same
//! lines. So a program says what it works on, and each sample that is taken meanwhile carries it, as Go's `pprof.Do`; in
//! heap profiles too, which in Go have no labels. `go tool pprof -tags` lists them, `-tagfocus=tenant=a` keeps what is of
//! one, `-tagroot=tenant` makes them the roots.
//!
//! ```
//! use debug_pprof::labels;
//!
//! let answer = labels::scope(&[("tenant", "a"), ("route", "/upload")], || {
//!     // What is allocated here is `tenant="a"`, `route="/upload"`, for as long as it is in use.
//!     labels::scope(&[("route", "/upload/resize")], || vec![0_u8; 64])
//! });
//! # assert_eq!(answer.len(), 64);
//! ```
//!
//! Labels are of the thread: what another thread does for a scope is not in it, unless it is handed over with
//! [`current`]. A future goes from thread to thread; [`scoped`] puts its labels in force around each poll. An object keeps the labels that it
//! was allocated under, and a `realloc` is a new allocation.
//!
//! # Rules
//!
//! | what | then |
//! |---|---|
//! | a key that is in force already | the inner value, until the inner scope ends |
//! | one key twice in one call | the last |
//! | an empty value | takes the label away, until the scope ends |
//! | a value of more than [`MAX_VALUE_BYTES`], or with a NUL | is cut at the end of a character before that |
//! | a key that is empty, has a NUL, or is of more than [`MAX_KEY_BYTES`]; more than [`MAX_LABELS`] keys | the label is left out |
//! | `bytes`, `age`, `type`, `thread`, `task`, `source`, `pprof::base` | are the profiler's own, or the tool's: left out |
//! | more sets than [`Limits::label_sets`](crate::Limits::label_sets) | a scope with a new one has no labels at all: those of an outer scope may be wrong for it |
//!
//! Each of the last five is counted, in [`ProfilerStats`](crate::ProfilerStats), in the metrics and in a profile's comments. A
//! set is kept for good, so labels are for what has a few hundred values, and not for the number of a request.
//!
//! # Cost
//!
//! Nothing on an allocation that is not sampled: the labels are one word of the thread's, which is read when a sample is
//! taken. A scope with one label takes about 60 ns, with three 130 ns, and a poll of a [`Labelled`] future 3 to 6 ns; nothing is allocated, and no lock is
//! taken. Not for signal handlers: a sample that one takes has the labels of what it interrupted.

mod interner;
mod labelled;
mod merged;

use std::fmt;
use std::marker::PhantomData;

pub use self::labelled::Labelled;
pub use self::merged::{MAX_KEY_BYTES, MAX_LABELS, MAX_VALUE_BYTES};
pub use crate::record::LabelSet;

use self::interner::Interner;
use self::merged::Merged;
use crate::record;

/// All label sets of the process.
static SETS: Interner = Interner::new();

/// Runs `work` with `labels`, added to those in force, on this thread: see the [rules](self#rules).
///
/// Those that were in force before are so again when it ends, by a panic too.
pub fn scope<R>(labels: &[(&str, &str)], work: impl FnOnce() -> R) -> R {
    current().with(labels).scope(work)
}

/// `future` with `labels`, added to those that are in force here: they are so around each of its polls, on whatever thread.
///
/// To be put around the outermost future of a task: `spawn(scoped(&[("tenant", id)], serve(request)))`. Where it is
/// polled inside another scope, that one's labels are added too, if their keys are not in it.
pub fn scoped<F>(labels: &[(&str, &str)], future: F) -> Labelled<F> {
    current().with(labels).scoped(future)
}

/// The labels in force on this thread, for handing them to another: see [`LabelSet::scope`].
pub fn current() -> LabelSet {
    record::labels()
}

/// What a set holds, in the order of the keys.
pub(crate) fn of(set: LabelSet) -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    SETS.get(set)
}

impl LabelSet {
    /// This set with `labels` added by the [rules](self#rules).
    #[must_use]
    pub fn with(self, labels: &[(&str, &str)]) -> LabelSet {
        let mut merged = Merged::of(SETS.get(self));
        for (key, value) in labels {
            merged.set(key, value);
        }
        SETS.find_or_insert(&mut merged)
    }

    /// Runs `work` with these labels in the place of those in force on this thread.
    ///
    /// ```
    /// use debug_pprof::labels;
    ///
    /// labels::scope(&[("job", "index")], || {
    ///     let labels = labels::current();
    ///     std::thread::spawn(move || labels.scope(|| "as the thread that spawned it")).join()
    /// })
    /// # .unwrap();
    /// ```
    pub fn scope<R>(self, work: impl FnOnce() -> R) -> R {
        let _in_force = InForce::new(self);
        work()
    }

    /// `future` with these labels around each of its polls: see [`scoped`].
    pub fn scoped<F>(self, future: F) -> Labelled<F> {
        Labelled::new(self, future)
    }

    /// The labels, in the order of their keys.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        SETS.get(self)
    }
}

/// As `tenant=a, route=/upload`.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (key, value)) in self.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

/// Labels in force on this thread until it is dropped.
struct InForce {
    before: LabelSet,
    not_send: PhantomData<*const ()>,
}

impl InForce {
    fn new(labels: LabelSet) -> Self {
        Self {
            before: record::replace_labels(labels),
            not_send: PhantomData,
        }
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        record::replace_labels(self.before);
    }
}

/// What was kept of labels, and what was not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    /// Different sets that there have been.
    pub(crate) sets: usize,
    /// Bytes mapped for them.
    pub(crate) memory: usize,
    /// Scopes that have no labels because there was no room for theirs.
    pub(crate) dropped: u64,
    /// Labels that were left out.
    pub(crate) refused: u64,
    /// Values that were cut.
    pub(crate) cut: u64,
}

pub(crate) fn counters() -> Counters {
    SETS.counters()
}
