//! The watcher's thread: runs tasks when they are due, and sleeps in between.
//!
//! There is one at most in a process, and only while somebody has a [`Hold`]: each running server has one, and whoever
//! keeps watch without a server. The thread ends with the last of them. A fork child has none until somebody there takes
//! a hold of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::fork_lock::{ForkLock, Held};
use crate::profile::{self, BareThread};
use crate::record;

/// Bytes of the thread's stack; address space, not memory. What a task calls may format, sort and write files.
const STACK: usize = 2 << 20;

/// When a task that panicked is tried again, if nobody wakes it.
const AFTER_A_PANIC: Duration = Duration::from_secs(60);

/// The bit of `bell` that ends the thread. Tasks have the lower ones, in their order.
const STOP: u32 = 1 << 31;

/// Something to be done from time to time.
#[derive(Debug)]
pub(crate) struct Task {
    /// Does what is due, and says when it wants to be called again; None: not before it is woken. Called once when the
    /// thread starts. It may block and allocate, which is not sampled; the other tasks wait meanwhile. A panic costs this
    /// call only.
    pub(crate) run: fn() -> Option<Instant>,
}

/// A thread for `tasks`.
#[derive(Debug)]
pub(crate) struct Watcher {
    tasks: &'static [Task],
    state: ForkLock<State>,
    /// The futex that the thread sleeps on while it is 0: [`STOP`], and a bit for each task that is to run at once.
    bell: AtomicU32,
}

#[derive(Debug)]
struct State {
    /// The process that the rest is about: in a fork child it says nothing.
    process: u64,
    holds: usize,
    /// None without a hold, or if the system had no thread.
    thread: Option<BareThread>,
}

impl State {
    const fn new() -> Self {
        Self {
            process: 0,
            holds: 0,
            thread: None,
        }
    }
}

/// Keeps the thread going until it is dropped. In a fork child of the process that took it, it holds nothing.
#[derive(Debug)]
#[must_use = "the thread ends with the last hold"]
pub(crate) struct Hold {
    watcher: &'static Watcher,
    process: u64,
}

impl Watcher {
    /// For at most 31 tasks.
    pub(crate) const fn new(tasks: &'static [Task]) -> Self {
        assert!(tasks.len() < 32);
        Self {
            tasks,
            state: ForkLock::new(State::new(), State::new),
            bell: AtomicU32::new(0),
        }
    }

    /// Starts the thread unless it runs, and keeps it going. If the system has no thread now, [`start`](Self::start) tries
    /// again.
    pub(crate) fn hold(&'static self) -> Hold {
        let mut state = self.state();
        state.holds += 1;
        self.start_held(&mut state);
        Hold {
            watcher: self,
            process: record::process(),
        }
    }

    /// Starts the thread if it is held and does not run. True if it runs.
    pub(crate) fn start(&'static self) -> bool {
        let mut state = self.state();
        self.start_held(&mut state);
        state.thread.is_some()
    }

    fn start_held(&'static self, state: &mut State) {
        if state.thread.is_some() || state.holds == 0 {
            return;
        }
        // The tasks all run at the start, and nobody else is there to be stopped.
        self.bell.store(0, Ordering::Relaxed);
        state.thread = profile::without_sampling(|| {
            profile::start_alone(STACK, move || {
                profile::on_own_thread(c"debug-pprof-wat", || self.run());
            })
        });
    }

    /// Has the `nth` task run at once, if there is a thread. Takes no lock and does not allocate: for signal handlers too.
    pub(crate) fn wake(&self, nth: usize) {
        self.ring(1 << nth);
    }

    fn ring(&self, bits: u32) {
        // Release pairs with the Acquire of `run`: the task sees what was written before it was woken.
        if self.bell.fetch_or(bits, Ordering::Release) == 0 {
            // SAFETY: wakes who sleeps on a word of ours; touches no memory.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.bell.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1,
                )
            };
        }
    }

    fn run(&self) {
        let start = Instant::now();
        let mut due: Vec<Option<Instant>> = self.tasks.iter().map(|_| Some(start)).collect();
        loop {
            // Acquire pairs with the Release in `ring`.
            let rung = self.bell.swap(0, Ordering::Acquire);
            if rung & STOP != 0 {
                return;
            }
            for (nth, (task, due)) in self.tasks.iter().zip(&mut due).enumerate() {
                if rung & 1 << nth != 0 || due.is_some_and(|due| due <= Instant::now()) {
                    // The panic hook has said what there is to say.
                    *due = catch_unwind(AssertUnwindSafe(task.run))
                        .unwrap_or_else(|_| Instant::now().checked_add(AFTER_A_PANIC));
                }
            }
            self.sleep_until(due.iter().flatten().min().copied());
        }
    }

    /// Until the bell is rung, or that moment; a signal may end it earlier.
    fn sleep_until(&self, moment: Option<Instant>) {
        let left = moment.map(|moment| {
            let left = moment.saturating_duration_since(Instant::now());
            // A day at most: no sum of a clock and a span overflows in the kernel.
            let left = left.min(Duration::from_secs(86_400));
            libc::timespec {
                tv_sec: left.as_secs() as libc::time_t,
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let left = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: sleeps while the word is 0, by the monotonic clock; `left` is null or points to a local.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.bell.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                0,
                left,
            )
        };
    }

    /// The state, of this process.
    fn state(&self) -> Held<'_, State> {
        let mut state = self.state.lock();
        if state.process != record::process() {
            // What is there is the parent's, whose thread can be neither joined nor let go of.
            *state = State::new();
            state.process = record::process();
        }
        state
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.process != record::process() {
            return;
        }
        let mut state = self.watcher.state();
        state.holds = state.holds.saturating_sub(1);
        if state.holds > 0 {
            return;
        }
        if let Some(thread) = state.thread.take() {
            // Under the lock: the next thread must not be told what this one was. No task takes the lock.
            self.watcher.ring(STOP);
            thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Generous: nothing is measured by it.
    const WATCHDOG: Duration = Duration::from_secs(60);

    #[track_caller]
    fn wait_for(is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < WATCHDOG, "it never came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn tasks_run_when_they_are_due_or_woken_while_somebody_holds() {
        static DUE: AtomicUsize = AtomicUsize::new(0);
        static WOKEN: AtomicUsize = AtomicUsize::new(0);
        static WATCHER: Watcher = Watcher::new(&[
            Task {
                run: || {
                    DUE.fetch_add(1, Ordering::Relaxed);
                    Instant::now().checked_add(Duration::from_millis(2))
                },
            },
            Task {
                run: || {
                    WOKEN.fetch_add(1, Ordering::Relaxed);
                    None
                },
            },
        ]);
        assert!(!WATCHER.start(), "nobody holds it");
        let (first, second) = (WATCHER.hold(), WATCHER.hold());
        wait_for(|| DUE.load(Ordering::Relaxed) > 5);
        assert_eq!(WOKEN.load(Ordering::Relaxed), 1, "at the start only");
        WATCHER.wake(1);
        wait_for(|| WOKEN.load(Ordering::Relaxed) == 2);
        drop(first);
        assert!(WATCHER.start());
        drop(second);
        let ended = DUE.load(Ordering::Relaxed);
        assert!(!WATCHER.start());
        std::thread::sleep(Duration::from_millis(10));
        assert_eq!(DUE.load(Ordering::Relaxed), ended);
        // And again.
        let third = WATCHER.hold();
        wait_for(|| DUE.load(Ordering::Relaxed) > ended + 2);
        drop(third);
    }

    #[test]
    fn a_panic_ends_neither_the_thread_nor_other_tasks() {
        static PANICS: AtomicUsize = AtomicUsize::new(0);
        static OTHER: AtomicUsize = AtomicUsize::new(0);
        static WATCHER: Watcher = Watcher::new(&[
            Task {
                run: || {
                    PANICS.fetch_add(1, Ordering::Relaxed);
                    panic!("on purpose");
                },
            },
            Task {
                run: || {
                    OTHER.fetch_add(1, Ordering::Relaxed);
                    None
                },
            },
        ]);
        let hold = WATCHER.hold();
        for nth in 1..4 {
            wait_for(|| PANICS.load(Ordering::Relaxed) == nth);
            wait_for(|| OTHER.load(Ordering::Relaxed) == nth);
            WATCHER.wake(0);
            WATCHER.wake(1);
        }
        drop(hold);
    }

    #[test]
    fn an_idle_thread_does_not_wake() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        static WATCHER: Watcher = Watcher::new(&[Task {
            run: || {
                RUNS.fetch_add(1, Ordering::Relaxed);
                Instant::now().checked_add(Duration::from_secs(3600))
            },
        }]);
        let hold = WATCHER.hold();
        wait_for(|| RUNS.load(Ordering::Relaxed) == 1);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(RUNS.load(Ordering::Relaxed), 1);
        drop(hold);
    }
}
