//! The clock that ages are read from, in the hands of a test: this program's `clock_gettime` comes before the C library's.
//! It stands still until it is moved. Other clocks, and those of std, are the system's.
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

/// Where it begins: a machine that has run for a day.
const START: i64 = 86_400_000_000_000;

static NANOS: AtomicI64 = AtomicI64::new(START);
static IS_BROKEN: AtomicBool = AtomicBool::new(false);

/// Lets so much time go by.
pub(crate) fn advance(time: Duration) {
    NANOS.fetch_add(time.as_nanos() as i64, Ordering::SeqCst);
}

/// Sets it to so long after the machine's start.
pub(crate) fn set(time: Duration) {
    NANOS.store(time.as_nanos() as i64, Ordering::SeqCst);
}

/// There is no such clock.
pub(crate) fn set_broken(is_broken: bool) {
    IS_BROKEN.store(is_broken, Ordering::SeqCst);
}

/// # Safety
/// * As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> i32 {
    if clock != libc::CLOCK_MONOTONIC_COARSE {
        // SAFETY: the caller's contract; the kernel's own call.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) } as i32;
    }
    if IS_BROKEN.load(Ordering::SeqCst) {
        return -1;
    }
    let nanos = NANOS.load(Ordering::SeqCst);
    // SAFETY: the caller's contract.
    let time = unsafe { &mut *time };
    (time.tv_sec, time.tv_nsec) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    0
}
