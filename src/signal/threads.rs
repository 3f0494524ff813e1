//! Where each thread is: asked by a signal, in its own words.

use core::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use super::SIGNALS;
use super::handler::{self, Info, keeping_errno, own_tid};
use super::kernel_thread::{KernelThread, kernel_threads};
use super::slots::{SLOTS, Ticket};
use crate::record::{self, LabelSet};
use crate::stack::{self, Interrupted, OwnFrame, ReturnAddress, Stack};

/// How long one thread is waited for. A sleeping one answers in some 20 µs; one that computes needs a turn on a processor.
const PATIENCE: Duration = Duration::from_millis(100);

/// And all of them. Thousands of threads that answer take less; hundreds that do not would take longer.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(2);

/// How long another who asks is waited for, who may have to wait that long himself.
const PATIENCE_FOR_OTHERS: Duration = Duration::from_secs(5);

/// How often it is looked whether a thread that does not answer is still there.
const LOOK: Duration = Duration::from_millis(10);

/// A thread, and its stack or why there is none.
#[derive(Debug, Clone)]
pub(crate) struct ThreadStack {
    pub(crate) tid: i32,
    /// As its maker called it, the first 15 bytes.
    pub(crate) name: String,
    /// Its state in words: `running`, `futex wait`, …
    pub(crate) doing: String,
    /// Since it was started.
    pub(crate) age: Option<Duration>,
    /// Whether it is the thread that asks.
    pub(crate) is_asking: bool,
    /// Leaf first.
    pub(crate) frames: Vec<ReturnAddress>,
    pub(crate) is_truncated: bool,
    /// Those in force there.
    pub(crate) labels: LabelSet,
    /// Why there are no frames.
    pub(crate) missing: Option<String>,
}

/// What one who asks leaves for the next.
#[derive(Debug)]
pub(super) struct Asker {
    /// Of which this is true: in a fork child nobody was asked.
    process: u64,
    /// The signal, 0 before the first time.
    signal: c_int,
}

impl Asker {
    pub(super) const fn new() -> Self {
        Self {
            process: 0,
            signal: 0,
        }
    }
}

/// Every thread of the process, this one first, the rest by number. There should be unwind tables of what is loaded: few
/// threads have the room to be walked without.
///
/// Each is interrupted for some microseconds: system calls that the kernel does not take up again by itself, even with
/// `SA_RESTART`, return early (`epoll_wait`, `poll`, `nanosleep`, `futex` with a time limit, …) with `EINTR`. Takes 2 s at most
/// for the answers. Not for signal handlers.
pub(crate) fn threads() -> Vec<ThreadStack> {
    let own = own_tid();
    let mut threads: Vec<ThreadStack> = Vec::new();
    let mut asked = Vec::new();
    for known in kernel_threads() {
        asked.push(known.clone());
        threads.push(ThreadStack {
            tid: known.tid,
            is_asking: known.tid == own,
            name: known.name,
            doing: known.doing,
            age: known.age,
            frames: Vec::new(),
            is_truncated: false,
            labels: LabelSet::NONE,
            missing: None,
        });
    }
    if let Err(reason) = ask_all(&asked, &mut threads) {
        for thread in threads.iter_mut().filter(|thread| !thread.is_asking) {
            thread.missing = Some(reason.clone());
        }
    }
    threads.sort_by_key(|thread| (!thread.is_asking, thread.tid));
    threads
}

/// Asks `known`, whose answers go into `threads`.
fn ask_all(known: &[KernelThread], threads: &mut [ThreadStack]) -> Result<(), String> {
    let marker = 0_u8;
    if let Some(own) = threads.iter_mut().find(|thread| thread.is_asking) {
        own.take(&record::stack_here(OwnFrame::of(&marker)), record::labels());
    }
    if !stack::can_capture_interrupted(record::delta()) {
        return Err(NO_WALK.to_owned());
    }
    let mut asker = SIGNALS
        .asker
        .lock_within(PATIENCE_FOR_OTHERS)
        .ok_or("others are asking the threads all the time")?;
    let process = record::process();
    if asker.process != process {
        asker.process = process;
        SIGNALS.slots.reset();
    }
    asker.signal =
        free_signal(asker.signal).ok_or("every real-time signal has a handler already")?;
    SIGNALS.slots.reclaim();
    let round = Round {
        signal: asker.signal,
        end: Instant::now() + PATIENCE_FOR_ALL,
        waiting: Vec::with_capacity(SLOTS),
    };
    round.run(known, threads);
    Ok(())
}

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
const NO_WALK: &str = "this process has no unwind tables that are good";
#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
const NO_WALK: &str = "stacks of other threads are taken on x86-64 Linux with glibc only";

impl ThreadStack {
    fn take(&mut self, stack: &Stack, labels: LabelSet) {
        self.labels = labels;
        self.frames = stack.frames().to_vec();
        self.is_truncated = stack.is_truncated();
        self.missing = self
            .frames
            .is_empty()
            .then(|| "it has no room on its stack, or no unwind data".to_owned());
    }
}

/// Threads that were asked and have not answered.
struct Round {
    signal: c_int,
    end: Instant,
    waiting: Vec<Waiting>,
}

struct Waiting {
    ticket: Ticket,
    /// Of the thread.
    nth: usize,
    asked: Instant,
}

impl Round {
    fn run(mut self, known: &[KernelThread], threads: &mut [ThreadStack]) {
        let mut next = (0..known.len()).peekable();
        loop {
            while self.waiting.len() < SLOTS
                && let Some(nth) = next.next()
            {
                if let (Some(known), Some(thread)) = (known.get(nth), threads.get_mut(nth))
                    && !thread.is_asking
                    && let Err(reason) = self.ask(nth, known)
                {
                    thread.missing = Some(reason);
                }
            }
            if self.waiting.is_empty() && next.peek().is_none() {
                return;
            }
            let seen = SIGNALS.slots.answers();
            if !self.collect(threads) {
                SIGNALS.slots.wait(seen, LOOK);
                self.collect(threads);
                self.give_up(threads);
            }
        }
    }

    /// Sends a thread the signal, or says why not.
    fn ask(&mut self, nth: usize, known: &KernelThread) -> Result<(), String> {
        if known.blocks(self.signal) {
            return Err(format!(
                "it blocks signal {}, by which it is asked",
                self.signal
            ));
        }
        if Instant::now() >= self.end {
            let seconds = PATIENCE_FOR_ALL.as_secs();
            return Err(format!("it was not asked: others took {seconds} s"));
        }
        let ticket = SIGNALS.slots.ask(known.tid);
        let ticket =
            ticket.ok_or("it was not asked: others have begun to answer, and do not end")?;
        if let Err(errno) = send(known.tid, self.signal) {
            SIGNALS.slots.give_up(&ticket);
            return Err(match errno {
                libc::ESRCH => ENDED.to_owned(),
                libc::EAGAIN => {
                    "it was not asked: too many signals are waiting (RLIMIT_SIGPENDING)".to_owned()
                }
                errno => format!("it cannot be asked: tgkill fails with error {errno}"),
            });
        }
        self.waiting.push(Waiting {
            ticket,
            nth,
            asked: Instant::now(),
        });
        Ok(())
    }

    /// Takes the answers that are there. False if there was none.
    fn collect(&mut self, threads: &mut [ThreadStack]) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| {
            let answer = SIGNALS.slots.take(&waiting.ticket, |answer| {
                if let Some(thread) = threads.get_mut(waiting.nth) {
                    thread.take(&answer.stack, answer.labels);
                }
            });
            answer.is_none()
        });
        self.waiting.len() < before
    }

    /// Gives up those that have ended, or had their time.
    fn give_up(&mut self, threads: &mut [ThreadStack]) {
        self.waiting.retain(|waiting| {
            let Some(thread) = threads.get_mut(waiting.nth) else {
                return false;
            };
            let waited = waiting.asked.elapsed();
            let has_ended = send(thread.tid, 0) == Err(libc::ESRCH);
            if waited < PATIENCE && !has_ended {
                return true;
            }
            if SIGNALS.slots.give_up(&waiting.ticket) {
                thread.missing = Some(match has_ended {
                    true => ENDED.to_owned(),
                    false => format!("it did not answer within {} ms", PATIENCE.as_millis()),
                });
                return false;
            }
            // It has begun, and walks a stack; it may have lost its processor.
            let is_hopeless = waited >= 2 * PATIENCE;
            if is_hopeless {
                thread.missing = Some("it began to answer, and did not end".to_owned());
            }
            !is_hopeless
        });
    }
}

const ENDED: &str = "it has ended meanwhile";

/// Sends a signal to a thread of this process; 0 asks whether it is there.
fn send(tid: i32, signal: c_int) -> Result<(), c_int> {
    // SAFETY: asks for a number.
    let process = unsafe { libc::getpid() };
    // SAFETY: the handler of `signal` is installed, or it is none.
    if unsafe { libc::syscall(libc::SYS_tgkill, process, tid, signal) } == 0 {
        return Ok(());
    }
    // SAFETY: every thread has one.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    Err(unsafe { *errno })
}

/// A real-time signal that has our handler now: `last` if it still has, or one without a handler. The last come first, because
/// those who choose one by hand count from the first.
fn free_signal(last: c_int) -> Option<c_int> {
    let all = (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev();
    let last = (last != 0).then_some(last);
    last.into_iter()
        .chain(all)
        .find(|signal| handler::install(*signal, on_question).is_ok())
}

extern "C" fn on_question(_signal: c_int, _info: *const Info, context: *const c_void) {
    keeping_errno(|| {
        SIGNALS.slots.answer(own_tid(), |stack| {
            // SAFETY: the kernel has passed `context` to this handler, which has not returned.
            let interrupted = unsafe { Interrupted::by(context) };
            let depth = record::limits().depth;
            stack::capture_interrupted(record::delta(), interrupted, depth, stack);
        });
    });
}
