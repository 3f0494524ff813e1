//! The stack of one chosen allocation, for finding out how this build calls the allocator.

use core::ptr::NonNull;

use super::busy::Busy;
use super::thread::{SUSPENDED, Thread};
use crate::limits::Limits;
use crate::stack::{self, Delta, OwnFrame, Stack};

/// Runs `allocate`, on a thread whose sampling is suspended, and returns the call stack of the first allocation in it;
/// None if it made none through the wrapper.
pub(crate) fn stack_of_allocation(allocate: impl FnOnce()) -> Option<Stack> {
    let mut stack = Stack::new();
    Thread::with(|thread| {
        thread.trace.set(Some(NonNull::from(&mut stack)));
        // Below every rate word: the next allocation goes to the slow path.
        thread.counts.move_countdown(i64::MIN / 2);
    });
    allocate();
    Thread::with(|thread| {
        thread.counts.move_countdown(SUSPENDED);
        thread.trace.take().is_none()
    })
    .then_some(stack)
}

/// In the slow path: takes the stack if it was asked for.
pub(super) fn answer(delta: &Delta, thread: &Thread, busy: &Busy<'_>, own_frame: OwnFrame) -> bool {
    let Some(mut wanted) = thread.trace.take() else {
        return false;
    };
    thread.counts.move_countdown(SUSPENDED);
    // SAFETY: only `stack_of_allocation` sets `trace`, to a local of its own, and takes it back before it returns; it
    // does so on this thread, whose only reference to that local is this one while `allocate` runs.
    let stack = unsafe { wanted.as_mut() };
    stack::capture(delta, busy.own_stack(), own_frame, Limits::MAX_DEPTH, stack);
    true
}
