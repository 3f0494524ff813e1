//! `Labelled`: a future whose polls have labels.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{InForce, LabelSet, current, of};

/// A future with labels in force around each of its polls: see [`scoped`](super::scoped).
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct Labelled<F> {
    labels: LabelSet,
    /// What it was last polled under, and that with `labels`: a task is polled thousands of times under the same.
    last: (LabelSet, LabelSet),
    future: F,
}

impl<F> Labelled<F> {
    pub(super) fn new(labels: LabelSet, future: F) -> Self {
        Self {
            labels,
            last: (LabelSet::NONE, labels),
            future,
        }
    }

    /// The labels.
    pub fn labels(&self) -> LabelSet {
        self.labels
    }

    /// The future, without its labels.
    pub fn into_inner(self) -> F {
        self.future
    }

    #[cold]
    fn merge(outer: LabelSet, labels: LabelSet) -> LabelSet {
        let mut own = [("", ""); super::MAX_LABELS];
        let mut len = 0;
        for (slot, label) in own.iter_mut().zip(of(labels)) {
            *slot = label;
            len += 1;
        }
        outer.with(own.get(..len).unwrap_or_default())
    }
}

impl<F: Future> Future for Labelled<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is not moved out of what this refers to: it is pinned anew below, and only through there is it
        // reached. `into_inner` takes an owned `Labelled`, so one that was never pinned or whose future is `Unpin`; there is
        // no `Drop` that would be handed it, and `Labelled` is `Unpin` only where `F` is.
        let this = unsafe { self.get_unchecked_mut() };
        let outer = current();
        if this.last.0 != outer {
            this.last = (outer, Self::merge(outer, this.labels));
        }
        let _in_force = InForce::new(this.last.1);
        // SAFETY: as above: a field of what is pinned.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        future.poll(context)
    }
}
