//! Signals that a write may bring, which end a process that has said nothing about them.

use std::mem::MaybeUninit;

/// A file over `RLIMIT_FSIZE`, a pipe that nobody reads.
const SIGNALS: [libc::c_int; 2] = [libc::SIGXFSZ, libc::SIGPIPE];

/// Holds them back on this thread; what has come meanwhile is thrown away when it is dropped. The write itself fails all
/// the same, and says why.
#[derive(Debug)]
pub(super) struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    pub(super) fn new() -> Self {
        let set = set();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are valid to read and write; only this thread's mask changes.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr()) };
        Self {
            // SAFETY: written by the call, which has no way to fail with these arguments.
            before: unsafe { before.assume_init() },
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        let at_once = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        for signal in SIGNALS {
            // SAFETY: the set is valid.
            let was_blocked = unsafe { libc::sigismember(&raw const self.before, signal) } == 1;
            if was_blocked {
                // Whoever blocked it waits for it.
                continue;
            }
            let one = set_of(&[signal]);
            // SAFETY: all arguments are valid; takes what is pending and does not wait.
            unsafe { libc::sigtimedwait(&raw const one, std::ptr::null_mut(), &raw const at_once) };
        }
        // SAFETY: the mask that this thread had.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.before,
                std::ptr::null_mut(),
            )
        };
    }
}

fn set() -> libc::sigset_t {
    set_of(&SIGNALS)
}

fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: makes the set valid.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: the set is valid, and so are the signals.
        unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) };
    }
    // SAFETY: made valid above.
    unsafe { set.assume_init() }
}
