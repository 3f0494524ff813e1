//! Panics, and the end of the process.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;
use std::{panic, ptr};

use super::names::Cause;
use super::{REQUESTS, wake};

/// How long a panic or an exit waits for its dump, which takes milliseconds. The watcher may be waiting for a lock that the
/// panicking thread holds: then this is how long, and the dump comes after it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two panics with a dump. A service that panics at each request and goes on must not be slowed down by it.
const PAUSE: Duration = Duration::from_secs(60);

static ON_PANIC: AtomicBool = AtomicBool::new(false);
static AT_EXIT: AtomicBool = AtomicBool::new(false);

/// The path of this process's sign of life, which a clean end takes away; never freed.
static RUNNING: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());

/// From here on the settings of this run hold.
pub(super) fn arm(on_panic: bool, at_exit: bool, running: &Path) {
    static HAS_HOOK: AtomicBool = AtomicBool::new(false);
    static HAS_EXIT: AtomicBool = AtomicBool::new(false);
    ON_PANIC.store(on_panic, Ordering::Relaxed);
    AT_EXIT.store(at_exit, Ordering::Relaxed);
    if let Ok(path) = CString::new(running.as_os_str().as_bytes()) {
        // Release pairs with the Acquire in `end`.
        RUNNING.store(path.into_raw(), Ordering::Release);
    }
    // Neither can be taken back, so both ask whether they are meant.
    if on_panic && !HAS_HOOK.swap(true, Ordering::Relaxed) {
        hook();
    }
    if !HAS_EXIT.swap(true, Ordering::Relaxed) {
        // SAFETY: the function may be called at any time. Without memory for it the next start reports an unclean end.
        unsafe { libc::atexit(end) };
    }
}

fn hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Asked first: what was there before may end the process.
        let asked = ask_on_panic();
        previous(info);
        if let Some(ticket) = asked {
            REQUESTS.wait(ticket, PATIENCE);
        }
    }));
}

/// None if it is not to be waited for.
fn ask_on_panic() -> Option<super::requests::Ticket> {
    // The watcher's own panics have no dump: what it was doing may be what fails.
    if !ON_PANIC.load(Ordering::Relaxed) || !REQUESTS.is_open() || REQUESTS.is_answered_here() {
        return None;
    }
    /// 0 before the first.
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = seconds();
    let last = LAST.load(Ordering::Relaxed);
    let is_early = last != 0 && now.saturating_sub(last) < PAUSE.as_secs();
    let is_first = !is_early
        && LAST
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
    is_first.then(|| {
        let ticket = REQUESTS.ask(Cause::Panic);
        wake();
        ticket
    })
}

/// Of the machine, by a clock that nobody sets; not 0.
fn seconds() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: valid to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0).max(1)
}

/// At `exit`, and when `main` returns.
extern "C" fn end() {
    // A fork child has its parent's handlers.
    if !REQUESTS.is_open() {
        return;
    }
    if AT_EXIT.load(Ordering::Relaxed) && !REQUESTS.is_answered_here() {
        let ticket = REQUESTS.ask(Cause::Exit);
        wake();
        REQUESTS.wait(ticket, PATIENCE);
    }
    // No lock: who holds it may be gone by now.
    let path = RUNNING.swap(ptr::null_mut(), Ordering::Acquire);
    if !path.is_null() {
        // SAFETY: a C string that is never freed.
        unsafe { libc::unlink(path) };
    }
}
