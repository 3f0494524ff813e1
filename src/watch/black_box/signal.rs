//! The signal that asks for a dump.

use std::mem::MaybeUninit;

use super::names::Cause;
use super::{REQUESTS, wake};

/// Those whose default action is the kernel's way to end a program that has gone wrong, or that cannot be handled.
const UNFIT: [libc::c_int; 9] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
];

/// Sets a word and wakes the watcher: both may be done anywhere.
extern "C" fn on_signal(_signal: libc::c_int) {
    // SAFETY: every thread has one.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    let before = unsafe { *errno };
    if REQUESTS.is_open() {
        REQUESTS.ask(Cause::Signal);
        wake();
    }
    // SAFETY: as above. The system calls in `wake` may have changed what the interrupted code is about to read.
    unsafe { *errno = before };
}

/// Installs the handler.
///
/// # Errors
/// What is wrong with the signal, and what would be right.
pub(super) fn install(signal: libc::c_int) -> Result<(), String> {
    if UNFIT.contains(&signal) {
        return Err(format!(
            "signal {signal} cannot ask for a dump; use SIGUSR1, SIGUSR2 or a real-time signal"
        ));
    }
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; `before` is valid to write to.
    if unsafe { libc::sigaction(signal, std::ptr::null(), before.as_mut_ptr()) } != 0 {
        return Err(format!(
            "{signal} is no signal that a program can handle; use libc::SIGUSR2, say"
        ));
    }
    // SAFETY: written by the call.
    let before = unsafe { before.assume_init() }.sa_sigaction;
    let own = on_signal as extern "C" fn(libc::c_int) as usize;
    if before == own {
        // A fork child has its parent's.
        return Ok(());
    }
    if before != libc::SIG_DFL && before != libc::SIG_IGN {
        return Err(format!(
            "the program has a handler for signal {signal} already, which would never be called again; \
             name another signal, or call `BlackBox::dump` from that handler's thread"
        ));
    }
    // SAFETY: all zeros are a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = own;
    // What the signal interrupts goes on; a thread with a small stack and a signal stack is safe.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler does only what may be done in one.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(format!(
            "signal {signal}: {}",
            std::io::Error::last_os_error()
        ));
    }
    Ok(())
}
