//! Fork children that are asked one thing and end, by themselves or by their alarm.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a fork child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What it was asked is so.
    Yes,
    No,
    /// Its alarm ended it.
    Hung,
    Crashed,
}

/// A child that has not been waited for.
#[derive(Debug)]
pub(crate) struct Child(libc::pid_t);

/// Asks `question` in a fork child, which has so many `seconds` for it.
pub(crate) fn ask(seconds: u32, question: impl FnOnce() -> bool) -> Child {
    // SAFETY: the child calls only what the test is about, and `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: no preconditions.
            unsafe { libc::alarm(seconds) };
            // A panic must not unwind into the test, of which this is a copy.
            let answer = catch_unwind(AssertUnwindSafe(question));
            let status = i32::from(!answer.unwrap_or(false));
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(status) }
        }
        child => {
            assert!(child > 0, "no fork");
            Child(child)
        }
    }
}

impl Child {
    pub(crate) fn id(&self) -> libc::pid_t {
        self.0
    }

    pub(crate) fn end(self) -> End {
        let mut status = 0;
        loop {
            // SAFETY: waits for our child; `status` is valid to write to.
            let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
            if waited == self.0 {
                break;
            }
            // Interrupted by a signal; that it is our child is certain.
        }
        if libc::WIFSIGNALED(status) {
            match libc::WTERMSIG(status) {
                libc::SIGALRM => End::Hung,
                _ => End::Crashed,
            }
        } else if libc::WEXITSTATUS(status) == 0 {
            End::Yes
        } else {
            End::No
        }
    }
}
