//! The walk of the `backtrace` crate without its lock: reads `.eh_frame` through the platform's unwinder.
//!
//! It finds every frame of a stock build. Its price is 0.2 µs a frame, and that it trusts the unwind data: a return
//! address in unmapped memory (a broken JIT or fibre frame) crashes it. So it is for what the tables of `delta` do not
//! cover.

use super::{OwnFrame, ReturnAddress, Stack};
use crate::pages::PAGE;

pub(super) fn walk(own_frame: OwnFrame, depth: usize, stack: &mut Stack) {
    let mut is_own = true;
    let mut is_interrupted = false;
    // SAFETY: "unsynchronized" asks that no other thread walks through the crate's lock-guarded state at the same
    // time; the libunwind and libgcc back ends of Unix have none, the walk only reads its own thread's stack and the
    // loader's table of objects, lock-free since glibc 2.35. `backtrace::trace` would take a process-wide lock that a panicking thread
    // holds while it allocates.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let ip = frame.ip() as usize;
            let was_interrupted = is_interrupted;
            // Asked only up to the first frame that is not: further frames may be on another stack, which a signal
            // interrupted.
            is_own = is_own && own_frame.covers(frame.sp() as usize);
            // The frame behind the thread's first function has no return address.
            if ip == 0 {
                return false;
            }
            is_interrupted = is_return_from_signal(ip);
            let frame = match was_interrupted {
                true => ReturnAddress::of_interrupted(ip),
                false => ReturnAddress(ip),
            };
            is_own || stack.push(frame, depth)
        });
    }
}

/// The code that a signal handler returns to: it asks the kernel for what the signal interrupted.
const RETURN_FROM_SIGNAL: Option<&[u8]> = if cfg!(all(target_arch = "x86_64", target_os = "linux"))
{
    // mov rax, 15; syscall
    Some(&[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05])
} else if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
    // mov x8, 139; svc 0
    Some(&[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4])
} else {
    None
};

/// Whether the frame that the unwinder has found at `ip` is the one between a signal handler and what it interrupted. The
/// crate does not say.
fn is_return_from_signal(ip: usize) -> bool {
    let Some(code) = RETURN_FROM_SIGNAL else {
        return false;
    };
    let last = ip.wrapping_add(code.len() - 1);
    // The call before it is code of the program's, and so are the bytes behind it in its page; the next may be no page.
    if ip.wrapping_sub(1) / PAGE != last / PAGE {
        return false;
    }
    let at = core::ptr::with_exposed_provenance::<u8>(ip);
    code.iter().enumerate().all(|(nth, byte)| {
        // SAFETY: in the page of code that the unwinder has found unwind data for, or has itself compared with this.
        let here = unsafe { at.wrapping_add(nth).read_volatile() };
        here == *byte
    })
}
