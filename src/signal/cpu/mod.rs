//! Where the processor's time goes: a timer on each thread's own clock, and where the thread was when it expired.
//!
//! A timer of the process (`setitimer`) is shared by its threads, and loses ticks where more than two compute; one for each
//! thread loses none, as Go found out. Each begins at a random moment of its first period, so a thread that has computed for T
//! has T / period ticks on average, however short T is.

mod ring;
mod timers;

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use self::ring::Ring;
use self::timers::Timers;
use super::SIGNALS;
use super::handler::{self, Info, Taken, keeping_errno};
use crate::fork_lock::ForkLock;
use crate::record::{self, LabelSet};
use crate::stack::{self, Interrupted, ReturnAddress};

/// How often the ring is emptied, and looked whether the number of threads has changed. A thread that lives shorter may be
/// missed; at half of it an idle process wakes up twice as often.
const LOOK: Duration = Duration::from_millis(20);

/// How often all threads are looked through, for new ones that have come where others went.
const SCAN: Duration = Duration::from_millis(100);

/// How often it is asked whether anybody still wants the profile.
const ASK: Duration = Duration::from_millis(200);

/// How long the last handlers are waited for.
const LAST: Duration = Duration::from_millis(50);

/// What handlers of ticks find, and who takes the profile.
#[derive(Debug)]
pub(super) struct Cpu {
    /// One who takes a profile has it.
    taker: ForkLock<Taker>,
    /// The profile that is being taken, which its timers carry; 0 if none is.
    profile: AtomicUsize,
    ring: Ring,
}

#[derive(Debug)]
struct Taker {
    /// The process whose ring it is.
    process: u64,
    /// The last profile's number.
    profile: usize,
}

impl Taker {
    const fn new() -> Self {
        Self {
            process: 0,
            profile: 0,
        }
    }
}

impl Cpu {
    pub(super) const fn new() -> Self {
        Self {
            taker: ForkLock::new(Taker::new(), Taker::new),
            profile: AtomicUsize::new(0),
            ring: Ring::new(),
        }
    }
}

/// Where a thread was when its timer expired.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick<'a> {
    /// Leaf first.
    pub(crate) frames: &'a [ReturnAddress],
    pub(crate) is_truncated: bool,
    /// How many periods it stands for: more than one if the thread could not be interrupted in time.
    pub(crate) weight: u32,
    /// Those in force on the thread.
    pub(crate) labels: LabelSet,
}

/// What there is to say of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) duration: Duration,
    pub(crate) period: Duration,
    /// Of all threads, as the kernel has counted it.
    pub(crate) used: Duration,
    /// Ticks that the ring had no room for.
    pub(crate) dropped: u64,
    /// Names of threads that block SIGPROF.
    pub(crate) blocking: Vec<String>,
    /// Threads for which the system had no timer.
    pub(crate) without_timer: usize,
}

/// Why there is no profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// One is being taken.
    Busy,
    /// The program has a handler for SIGPROF.
    Handled,
    /// The program ignores SIGPROF.
    Ignored,
    /// An `ITIMER_PROF` of the program's runs, which sends SIGPROF.
    IntervalTimer,
    /// The system has no timers, or forbids them.
    NoTimers,
    /// Stacks cannot be walked here.
    NoWalk,
    NoMemory,
    /// Nobody wants it any more.
    Cancelled,
}

/// Takes a profile with `hz` ticks for each second of processor time, at most 1000, and hands out each tick. There should be
/// unwind tables of what is loaded.
///
/// `gone` is asked several times a second whether anybody still wants it. Blocks the calling thread for `length`.
pub(crate) fn run(
    length: Duration,
    hz: u32,
    gone: &mut dyn FnMut() -> bool,
    each: &mut dyn FnMut(Tick<'_>),
) -> Result<Report, Refused> {
    let cpu = &SIGNALS.cpu;
    let mut taker = cpu.taker.try_lock().ok_or(Refused::Busy)?;
    if gone() {
        return Err(Refused::Cancelled);
    }
    if !stack::can_capture_interrupted(record::delta()) {
        return Err(Refused::NoWalk);
    }
    let refused = |taken| match taken {
        Taken::Handled => Refused::Handled,
        Taken::Ignored => Refused::Ignored,
        Taken::Refused => Refused::NoTimers,
    };
    handler::can_install(libc::SIGPROF, on_tick).map_err(refused)?;
    if has_interval_timer() {
        return Err(Refused::IntervalTimer);
    }
    let process = record::process();
    if taker.process != process {
        taker.process = process;
        // In a fork child: handlers of the parent's were at it.
        cpu.ring.reset();
    }
    if !cpu.ring.make() {
        return Err(Refused::NoMemory);
    }
    handler::install(libc::SIGPROF, on_tick).map_err(refused)?;
    taker.profile = taker.profile.wrapping_add(1).max(1);
    let running = Running::start(taker.profile);
    let period = Duration::from_nanos(u64::from(1_000_000_000 / hz.clamp(1, 1000)));
    let mut timers = Timers::new(period, taker.profile);
    let dropped_before = cpu.ring.dropped();
    if !timers.look_for_threads() {
        return Err(Refused::NoTimers);
    }
    let (start, used_before) = (Instant::now(), used());
    let (mut scanned, mut asked) = (start, start);
    loop {
        let left = length.saturating_sub(start.elapsed());
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(LOOK));
        cpu.ring.drain(taker.profile, each);
        if timers.has_changed() || scanned.elapsed() >= SCAN {
            timers.look_for_threads();
            scanned = Instant::now();
        }
        timers.look_at_new_threads();
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            if gone() {
                return Err(Refused::Cancelled);
            }
        }
    }
    let duration = start.elapsed();
    let used = used().saturating_sub(used_before);
    timers.delete_all();
    let end = Instant::now();
    while !cpu.ring.drain(taker.profile, each) && end.elapsed() < LAST {
        thread::sleep(Duration::from_millis(1));
    }
    drop(running);
    Ok(Report {
        duration,
        period,
        used,
        dropped: cpu.ring.dropped() - dropped_before,
        blocking: timers.blocking(),
        without_timer: timers.without_timer(),
    })
}

/// While it is there, ticks are taken.
struct Running;

impl Running {
    fn start(profile: usize) -> Self {
        SIGNALS.cpu.profile.store(profile, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        SIGNALS.cpu.profile.store(0, Ordering::Relaxed);
    }
}

extern "C" fn on_tick(_signal: c_int, info: *const Info, context: *const c_void) {
    // SAFETY: the kernel's, for the time that the handler runs.
    let info = unsafe { &*info };
    let profile = SIGNALS.cpu.profile.load(Ordering::Relaxed);
    // Not ours, or one that comes after the end.
    if info.code != libc::SI_TIMER || profile == 0 || info.value != profile {
        return;
    }
    keeping_errno(|| {
        let weight = u32::try_from(info.overrun).unwrap_or(0).saturating_add(1);
        SIGNALS.cpu.ring.put(profile, weight, |stack| {
            // SAFETY: the kernel has passed `context` to this handler, which has not returned.
            let interrupted = unsafe { Interrupted::by(context) };
            let depth = record::limits().depth;
            stack::capture_interrupted(record::delta(), interrupted, depth, stack);
        });
    });
}

/// Processor time of all threads, those that have ended among them.
fn used() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Whether a profiling timer of the program's runs.
fn has_interval_timer() -> bool {
    let none = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    let mut now = libc::itimerval {
        it_interval: none,
        it_value: none,
    };
    // SAFETY: `now` is valid to write to.
    let asked = unsafe { libc::getitimer(libc::ITIMER_PROF, &raw mut now) };
    asked == 0 && (now.it_value.tv_sec, now.it_value.tv_usec) != (0, 0)
}
