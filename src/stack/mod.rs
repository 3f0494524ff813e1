//! Call stacks, without allocating or locking: one file per way of walking, one signature, chosen here.

mod unsynchronized;

use crate::limits::Limits;
use crate::record::Busy;

/// The way of walking that is in use, as the profile's comment names it.
pub(crate) const WALKER: &str = "backtrace";

/// An address that a call will return to: one past the call instruction, so the call itself is at this − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct ReturnAddress(pub(crate) usize);

impl ReturnAddress {
    /// An address inside the call instruction: what a line table is asked for and what a profile writes.
    pub(crate) fn call(self) -> usize {
        self.0.saturating_sub(1)
    }
}

/// A captured call stack, leaf first.
#[derive(Debug)]
pub(crate) struct Stack {
    frames: [ReturnAddress; Limits::MAX_DEPTH],
    len: usize,
    truncated: bool,
}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self {
            frames: [ReturnAddress(0); Limits::MAX_DEPTH],
            len: 0,
            truncated: false,
        }
    }

    /// Adds a frame on the root side. False, and marked as truncated, if the stack is full.
    fn push(&mut self, frame: ReturnAddress, depth: usize) -> bool {
        match self.frames.get_mut(self.len) {
            Some(slot) if self.len < depth => {
                *slot = frame;
                self.len += 1;
                true
            }
            _ => {
                self.truncated = true;
                false
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn of(frames: &[usize]) -> Self {
        let mut stack = Self::new();
        for frame in frames {
            stack.push(ReturnAddress(*frame), Limits::MAX_DEPTH);
        }
        stack
    }

    pub(crate) fn frames(&self) -> &[ReturnAddress] {
        self.frames.get(..self.len).unwrap_or(&[])
    }

    /// Whether frames on the root side are missing.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// Captures the calling thread's stack, at most `depth` frames from the leaf.
///
/// `own_frame` is an address inside the stack frame of the profiler's outermost function: that function and
/// everything it called is left out, so the leaf is the allocator's caller. The cut is by place on the stack, not by
/// name, so it holds in stripped and in fully inlined builds.
pub(crate) fn capture(busy: &Busy<'_>, own_frame: usize, depth: usize) -> Stack {
    let mut stack = Stack::new();
    unsynchronized::walk(
        busy,
        own_frame,
        depth.clamp(1, Limits::MAX_DEPTH),
        &mut stack,
    );
    stack
}
