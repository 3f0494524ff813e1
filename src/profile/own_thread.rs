//! Threads of the profiler's own.

use std::ffi::CStr;

use crate::record::Suspended;

/// Runs `work`, which is all that this thread does, with sampling off and the thread called `name`, at most 15 bytes.
///
/// The thread itself is spawned without a name: std copies one on the new thread, before any of our code could have
/// switched sampling off there.
pub(crate) fn on_own_thread<R>(name: &CStr, work: impl FnOnce() -> R) -> R {
    let _own = Suspended::new();
    // SAFETY: names the calling thread; the kernel copies the string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    work()
}
