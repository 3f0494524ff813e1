//! `Busy`: the permission slip of the slow path.

use core::marker::PhantomData;
use core::sync::atomic::{Ordering, compiler_fence};

use super::label_set::LabelSet;
use super::len::Shard;
use super::thread::Thread;
use crate::stack::OwnStack;

/// Proof that this thread is inside the profiler's slow path. Whoever runs there takes `&Busy`, and whoever takes it
/// must not allocate, lock, panic or call out. Only `enter` makes one, at most one per thread at a time: an allocation
/// by a signal handler that interrupted the slow path, or by the inner allocator, finds the flag set and is forwarded
/// unsampled.
#[must_use = "the thread samples nothing until `leave`"]
pub(crate) struct Busy<'t> {
    thread: &'t Thread,
    not_send: PhantomData<*const ()>,
}

impl<'t> Busy<'t> {
    /// None if this thread is in the slow path already. To be ended by `leave`.
    pub(super) fn enter(thread: &'t Thread) -> Option<Self> {
        if thread.busy.replace(true) {
            return None;
        }
        // The flag must be in memory before the first instruction that a signal handler could interrupt.
        compiler_fence(Ordering::SeqCst);
        Some(Busy {
            thread,
            not_send: PhantomData,
        })
    }

    /// The part of a count that this thread counts in.
    pub(super) fn shard(&self) -> Shard {
        self.thread.shard()
    }

    /// The labels in force on this thread.
    pub(super) fn labels(&self) -> LabelSet {
        self.thread.labels.get()
    }

    /// What `work` returns, in a slow path of its own.
    #[cfg(test)]
    pub(super) fn during<R>(thread: &'t Thread, work: impl FnOnce(&Self) -> R) -> R {
        let busy = Self::enter(thread).unwrap();
        let result = work(&busy);
        busy.leave();
        result
    }

    /// The slow path is over. Not a `Drop`: nothing unwinds here, and the compiler would add what happens if it did.
    pub(super) fn leave(self) {
        compiler_fence(Ordering::SeqCst);
        self.thread.busy.set(false);
    }

    /// What is known of this thread's stack.
    pub(crate) fn own_stack(&self) -> &OwnStack {
        &self.thread.own_stack
    }
}
