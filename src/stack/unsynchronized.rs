//! The walk of the `backtrace` crate without its lock: reads `.eh_frame` through the platform's unwinder.
//!
//! It finds every frame of a stock build. Its price is 0.2 µs a frame, and that it trusts the unwind data: a return
//! address in unmapped memory (a broken JIT or fibre frame) crashes it. So it is for what the tables of `delta` do not
//! cover.

use super::{OwnFrame, ReturnAddress, Stack};

pub(super) fn walk(own_frame: OwnFrame, depth: usize, stack: &mut Stack) {
    let mut is_own = true;
    // SAFETY: "unsynchronized" asks that no other thread walks through the crate's lock-guarded state at the same
    // time; the libunwind and libgcc back ends of Unix have none, the walk only reads its own thread's stack and the
    // loader's table of objects, lock-free since glibc 2.35. `backtrace::trace` would take a process-wide lock that a panicking thread
    // holds while it allocates.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            // Asked only up to the first frame that is not: further frames may be on another stack, which a signal
            // interrupted.
            is_own = is_own && own_frame.covers(frame.sp() as usize);
            if is_own {
                return true;
            }
            // The frame behind the thread's first function has no return address.
            frame.ip() as usize != 0 && stack.push(ReturnAddress(frame.ip() as usize), depth)
        });
    }
}
