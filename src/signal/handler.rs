//! Handlers: how they are installed, what they are told, and what they leave as it was.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;

/// What the kernel says of a signal: its `siginfo`, of the kinds that a timer and a thread send.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Info {
    pub(super) signal: c_int,
    pub(super) errno: c_int,
    pub(super) code: c_int,
    pad: c_int,
    /// The timer's number, or the sender's process.
    pub(super) timer: c_int,
    /// How often the timer expired besides, since its last signal was delivered.
    pub(super) overrun: c_int,
    /// What its maker has given the timer.
    pub(super) value: usize,
}

/// `signal`, `info`, and the `ucontext` of what was interrupted.
pub(super) type Handler = extern "C" fn(c_int, *const Info, *const c_void);

/// Why a handler is not installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The program, or something in it, has a handler of its own.
    Handled,
    /// The program ignores the signal.
    Ignored,
    /// The system does not allow it.
    Refused,
}

/// Runs `work` in a handler. What was interrupted may be about to read `errno`.
pub(super) fn keeping_errno(work: impl FnOnce()) {
    // SAFETY: every thread has one.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    let before = unsafe { *errno };
    work();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Whether an action is the default one, or `handler`'s.
fn is_free(action: &libc::sigaction, handler: Handler) -> Result<(), Taken> {
    match action.sa_sigaction {
        libc::SIG_DFL => Ok(()),
        libc::SIG_IGN => Err(Taken::Ignored),
        other if other == handler as usize => Ok(()),
        _ => Err(Taken::Handled),
    }
}

/// Whether `install` would do it.
pub(super) fn can_install(signal: c_int, handler: Handler) -> Result<(), Taken> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; `now` is valid to write to.
    if unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(Taken::Refused);
    }
    // SAFETY: written by the call.
    is_free(&unsafe { now.assume_init() }, handler)
}

/// Installs `handler` for `signal`, if that has its default action, or this one already. Nothing of the program's is replaced.
pub(super) fn install(signal: c_int, handler: Handler) -> Result<(), Taken> {
    can_install(signal, handler)?;
    // SAFETY: all zeros are a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    // What is interrupted goes on by itself where the kernel can see to it; a thread with a small stack of its own, such as a
    // coroutine's, is safe if it has a signal stack.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // No handler of the program's runs on top of ours, on a stack that was large enough for one.
    // SAFETY: the mask is valid to write to.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    let mut replaced = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the handlers of this room do only what may be done in one; `replaced` is valid to write to.
    if unsafe { libc::sigaction(signal, &raw const action, replaced.as_mut_ptr()) } != 0 {
        return Err(Taken::Refused);
    }
    // SAFETY: written by the call.
    let replaced = unsafe { replaced.assume_init() };
    let was_free = is_free(&replaced, handler);
    if was_free.is_err() {
        // Another thread was faster.
        // SAFETY: gives back what it has just installed.
        unsafe { libc::sigaction(signal, &raw const replaced, ptr::null_mut()) };
    }
    was_free
}

/// The calling thread's number. For handlers too.
pub(super) fn own_tid() -> i32 {
    // SAFETY: asks for a number. Not by `libc::gettid`, which glibc has since 2.30 only.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn what_the_kernel_says_is_where_libc_says() {
        assert_eq!(
            offset_of!(Info, signal),
            offset_of!(libc::siginfo_t, si_signo)
        );
        assert_eq!(offset_of!(Info, code), offset_of!(libc::siginfo_t, si_code));
        assert_eq!(
            (
                offset_of!(Info, timer),
                offset_of!(Info, overrun),
                offset_of!(Info, value)
            ),
            (16, 20, 24)
        );
    }

    #[test]
    fn what_a_program_has_for_a_signal_is_left_alone() {
        extern "C" fn ours(_: c_int, _: *const Info, _: *const c_void) {}
        extern "C" fn theirs(_: c_int) {}
        let signal = libc::SIGRTMIN() + 3;
        let action = || {
            let mut now = MaybeUninit::<libc::sigaction>::uninit();
            // SAFETY: only asks.
            unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) };
            // SAFETY: written by the call.
            unsafe { now.assume_init() }.sa_sigaction
        };
        assert_eq!(install(signal, ours), Ok(()));
        assert_eq!(install(signal, ours), Ok(()), "again");
        for (other, expected) in [
            (theirs as extern "C" fn(c_int) as usize, Taken::Handled),
            (libc::SIG_IGN, Taken::Ignored),
        ] {
            // SAFETY: a valid handler.
            unsafe { libc::signal(signal, other) };
            assert_eq!(install(signal, ours), Err(expected));
            assert_eq!(action(), other);
        }
        assert_eq!(install(libc::SIGKILL, ours), Err(Taken::Refused));
    }
}
