//! A timer for each thread, on the clock of its own processor time.

use core::mem::MaybeUninit;
use core::ptr;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::signal::kernel_thread;

/// The timers of one profile. Deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Timers {
    period: Duration,
    /// What each timer carries.
    profile: usize,
    random: RandomState,
    /// By thread; None if the system had none.
    by_thread: BTreeMap<i32, Option<Timer>>,
    /// The count of threads at the last look, as the kernel's directory has it.
    links: u64,
    /// That nobody has looked at yet.
    new: Vec<i32>,
    /// That blocked the signal when they were new.
    blocking: Vec<i32>,
    without: usize,
}

/// The kernel's number of a timer that exists.
#[derive(Debug)]
struct Timer(libc::c_int);

impl Timers {
    pub(super) fn new(period: Duration, profile: usize) -> Self {
        Self {
            period,
            profile,
            random: RandomState::new(),
            by_thread: BTreeMap::new(),
            links: 0,
            new: Vec::new(),
            blocking: Vec::new(),
            without: 0,
        }
    }

    /// Whether the number of threads is another than at the last look: two system calls, however many there are.
    pub(super) fn has_changed(&self) -> bool {
        links() != self.links
    }

    /// Starts a timer for each new thread and deletes those of threads that are gone. False if the system has not one. Quick:
    /// what threads do before they have a timer is lost.
    pub(super) fn look_for_threads(&mut self) -> bool {
        // First: who comes meanwhile is seen the next time.
        self.links = links();
        let tids = kernel_thread::tids();
        self.by_thread.retain(|tid, _| tids.contains(tid));
        for tid in tids {
            if !self.by_thread.contains_key(&tid) {
                let timer = Timer::start(tid, self.period, self.first(tid), self.profile);
                self.by_thread.insert(tid, timer);
                self.new.push(tid);
            }
        }
        self.by_thread.values().any(Option::is_some)
    }

    /// Looks why some new threads will not be heard of.
    pub(super) fn look_at_new_threads(&mut self) {
        for tid in std::mem::take(&mut self.new) {
            match self.by_thread.get(&tid) {
                Some(None) if kernel_thread::is_there(tid) => self.without += 1,
                Some(None) => {
                    self.by_thread.remove(&tid);
                }
                _ if kernel_thread::name_if_blocks(tid, libc::SIGPROF).is_some() => {
                    self.blocking.push(tid)
                }
                _ => {}
            }
        }
    }

    /// A random part of the period.
    fn first(&self, tid: i32) -> Duration {
        let nanos = self.period.as_nanos() as u64;
        Duration::from_nanos(1 + self.random.hash_one(tid) % nanos.max(1))
    }

    pub(super) fn delete_all(&mut self) {
        self.by_thread.clear();
    }

    /// The names of threads that have blocked the signal when they were new, and do now: each does for a moment when it is
    /// made.
    pub(super) fn blocking(&self) -> Vec<String> {
        let tids = self.blocking.iter();
        let mut names: Vec<String> = tids
            .filter_map(|tid| kernel_thread::name_if_blocks(*tid, libc::SIGPROF))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How many threads there was no timer for.
    pub(super) fn without_timer(&self) -> usize {
        self.without
    }
}

/// One for each thread, and two.
fn links() -> u64 {
    fs::metadata("/proc/self/task").map_or(0, |of| of.nlink())
}

impl Timer {
    /// Past the C library, whose timers are structures of its own. None if the thread is gone, or the system has none:
    /// `RLIMIT_SIGPENDING` bounds them too.
    fn start(tid: i32, period: Duration, first: Duration, value: usize) -> Option<Self> {
        // SAFETY: all zeros are a valid value.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_value.sival_ptr = ptr::without_provenance_mut(value);
        event.sigev_signo = libc::SIGPROF;
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_notify_thread_id = tid;
        let mut timer: libc::c_int = 0;
        // SAFETY: `event` and `timer` are valid to read and to write to; the signal's handler is installed.
        let made = unsafe {
            libc::syscall(
                libc::SYS_timer_create,
                clock_of(tid),
                &raw const event,
                &raw mut timer,
            )
        };
        if made != 0 {
            return None;
        }
        let timer = Self(timer);
        let times = libc::itimerspec {
            it_interval: timespec(period),
            it_value: timespec(first),
        };
        // SAFETY: a timer that exists; `times` is a local.
        let set = unsafe {
            libc::syscall(
                libc::SYS_timer_settime,
                timer.0,
                0,
                &raw const times,
                ptr::null_mut::<libc::itimerspec>(),
            )
        };
        (set == 0).then_some(timer)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer exists, and nobody else knows of it.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.0) };
    }
}

/// The kernel's clock of a thread's processor time: the complement of its number above three bits, which say that it is a
/// thread's, and precise.
fn clock_of(tid: i32) -> libc::clockid_t {
    const THREADS: i32 = 4;
    const PRECISE: i32 = 2;
    (!tid).wrapping_shl(3) | THREADS | PRECISE
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as _,
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_clock_is_the_c_librarys() {
        let mut clock = 0;
        // SAFETY: this thread's own handle.
        let own = unsafe { libc::pthread_self() };
        // SAFETY: `clock` is valid to write to.
        let asked = unsafe { libc::pthread_getcpuclockid(own, &raw mut clock) };
        assert_eq!(asked, 0);
        assert_eq!(clock_of(crate::signal::handler::own_tid()), clock);
    }

    #[test]
    fn first_ticks_are_spread_over_the_period() {
        let timers = Timers::new(Duration::from_millis(10), 1);
        let firsts: Vec<Duration> = (0..1_000).map(|tid| timers.first(tid)).collect();
        let millis = Duration::from_millis;
        assert!(
            firsts
                .iter()
                .all(|first| !first.is_zero() && *first <= millis(10))
        );
        for tenth in 0..10 {
            let within = millis(tenth)..millis(tenth + 1);
            assert!(firsts.iter().any(|first| within.contains(first)), "{tenth}");
        }
    }
}
