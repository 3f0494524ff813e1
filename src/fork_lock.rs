//! A lock that a fork child never waits for in vain.
//!
//! A child has a copy of the lock as it was, but of all threads only the one that forked: held by another, a lock of std's
//! is held for ever there. This one knows the process of its holder.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
#[cfg(feature = "http")]
use std::time::Instant;

use crate::record;

/// How long to sleep before looking again. Holders need microseconds, but for one that waits for the end of a thread.
const PAUSE: Duration = Duration::from_millis(1);

/// A value that one thread has at a time.
///
/// `holder`:
///
/// ```text
/// 0               free
/// this process's  held by a thread of this process
/// another's       held when this process was forked, by a thread that it does not have: free, and the value may be
///                 half written, so it is made anew (and what it owned is left alone)
/// ```
///
/// A `QUICK` one takes no system call, and on kernels before 4.14 a child may wait in vain for it.
pub(crate) struct ForkLock<T, const QUICK: bool = false> {
    /// By `record::process`: the kernel's number may be a parent's too, in a namespace of its own. Of a quick one by
    /// `record::generation`.
    holder: AtomicU64,
    new: fn() -> T,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a `Held` alone, of which there is one at a time.
unsafe impl<T: Send, const QUICK: bool> Sync for ForkLock<T, QUICK> {}

/// The value, until it is dropped.
pub(crate) struct Held<'a, T, const QUICK: bool = false>(&'a ForkLock<T, QUICK>);

impl<T, const QUICK: bool> ForkLock<T, QUICK> {
    fn process() -> u64 {
        #[cfg(feature = "http")]
        if QUICK {
            return record::generation();
        }
        record::process()
    }

    /// `value` is what `new` makes.
    pub(crate) const fn new(value: T, new: fn() -> T) -> Self {
        Self {
            holder: AtomicU64::new(0),
            new,
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until it is free. Not for signal handlers.
    pub(crate) fn lock(&self) -> Held<'_, T, QUICK> {
        loop {
            if let Some(held) = self.try_lock() {
                return held;
            }
            thread::sleep(PAUSE);
        }
    }

    /// The same of what is held for less than a microsecond and asked for often: looks again for some microseconds before it
    /// sleeps. Not for signal handlers.
    #[cfg(feature = "http")]
    pub(crate) fn lock_soon(&self) -> Held<'_, T, QUICK> {
        /// Some 10 µs. A holder that takes longer has lost its processor, and gets it back in a millisecond or more.
        const LOOKS: u32 = 400;
        for _ in 0..LOOKS {
            if let Some(held) = self.try_lock() {
                return held;
            }
            std::hint::spin_loop();
        }
        self.lock()
    }

    /// Waits so long at most. Not for signal handlers.
    #[cfg(feature = "http")]
    pub(crate) fn lock_within(&self, limit: Duration) -> Option<Held<'_, T, QUICK>> {
        let start = Instant::now();
        loop {
            let held = self.try_lock();
            if held.is_some() || start.elapsed() >= limit {
                return held;
            }
            thread::sleep(PAUSE);
        }
    }

    /// None if another thread has it. Not for signal handlers.
    pub(crate) fn try_lock(&self) -> Option<Held<'_, T, QUICK>> {
        let process = Self::process();
        let holder = self.holder.load(Ordering::Relaxed);
        // Acquire pairs with the Release in `Held::drop`.
        let is_taken = holder != process
            && self
                .holder
                .compare_exchange(holder, process, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !is_taken {
            return None;
        }
        if holder != 0 {
            // SAFETY: this thread has just become the holder. The old value is not dropped: see above.
            unsafe { self.value.get().write((self.new)()) };
        }
        Some(Held(self))
    }
}

impl<T, const QUICK: bool> Deref for Held<'_, T, QUICK> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: who has a `Held` is the holder, and there is one at a time.
        unsafe { &*self.0.value.get() }
    }
}

impl<T, const QUICK: bool> DerefMut for Held<'_, T, QUICK> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self`.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T, const QUICK: bool> Drop for Held<'_, T, QUICK> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `lock`.
        self.0.holder.store(0, Ordering::Release);
    }
}

impl<T, const QUICK: bool> fmt::Debug for ForkLock<T, QUICK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForkLock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_and_a_panic_frees_it() {
        static COUNT: ForkLock<u64> = ForkLock::new(0, || 0);
        let count = || {
            for _ in 0..2_000 {
                let mut held = COUNT.lock();
                *held = std::hint::black_box(*held) + 1;
            }
        };
        thread::scope(|scope| {
            scope.spawn(count);
            scope.spawn(count);
        });
        let panics = thread::spawn(|| {
            let _held = COUNT.lock();
            panic!("on purpose");
        });
        assert!(panics.join().is_err());
        assert_eq!(*COUNT.lock(), 4_000);
    }

    #[test]
    fn a_process_that_does_not_have_the_holder_begins_anew() {
        static VALUE: ForkLock<u32> = ForkLock::new(7, || 7);
        *VALUE.lock() = 8;
        // As a fork leaves it: held by a process that this one is not.
        VALUE.holder.store(record::process() ^ 2, Ordering::Relaxed);
        assert_eq!(*VALUE.lock(), 7);
        *VALUE.lock() = 9;
        assert_eq!(*VALUE.lock(), 9, "and goes on as ever");
    }
}
