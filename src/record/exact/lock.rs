//! Readers of the counts, and threads that end, one at a time.

use core::hint;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// 0, or the process whose thread holds the lock: in a child that another way than `fork` has made, one that its parent's
/// thread held is free.
#[derive(Debug)]
pub(super) struct Lock(AtomicU64);

/// Keeps threads from ending, and other readers out.
pub(super) struct Held<'l>(&'l Lock);

impl Lock {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// `process` is the calling process's number. Not for signal handlers, nor inside malloc.
    #[inline]
    pub(super) fn take(&self, process: u64) -> Held<'_> {
        let mut attempt = 0;
        loop {
            let holder = self.0.load(Ordering::Relaxed);
            // Acquire pairs with the Release of `drop`.
            let is_taken = holder != process
                && self
                    .0
                    .compare_exchange(holder, process, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok();
            if is_taken {
                return Held(self);
            }
            wait(attempt);
            attempt += 1;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}

/// Spins at first, and sleeps then: who only yields keeps its processor from a thread of a lower priority, which may be the
/// one that is waited for.
#[inline]
pub(super) fn wait(attempt: u32) {
    if attempt < 100 {
        return hint::spin_loop();
    }
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: 50_000,
    };
    let nothing = ptr::null_mut::<libc::timespec>();
    // SAFETY: `pause` is a local, and what is left of it is not wanted. By the system call, because the C library's function
    // is a point where a thread can be cancelled.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const pause, nothing) };
}

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;
    use std::thread;

    use super::*;

    struct Guarded(Lock, UnsafeCell<u64>);
    // SAFETY: the test reaches the value under the lock alone.
    unsafe impl Sync for Guarded {}

    #[test]
    fn one_at_a_time_and_what_another_process_held_is_free() {
        static COUNT: Guarded = Guarded(Lock::new(), UnsafeCell::new(0));
        // As a child finds it.
        COUNT.0.0.store(7, Ordering::Relaxed);
        let count = || {
            for _ in 0..20_000 {
                let _held = COUNT.0.take(8);
                // SAFETY: under the lock.
                unsafe { *COUNT.1.get() += 1 };
            }
        };
        thread::scope(|scope| {
            scope.spawn(count);
            scope.spawn(count);
        });
        let _held = COUNT.0.take(8);
        // SAFETY: as above.
        assert_eq!(unsafe { *COUNT.1.get() }, 40_000);
    }
}
