//! Dumps that somebody asks for who may not write one: a signal handler, a panic hook, the end of the process.
//!
//! Words only: no lock, no allocation. Who asks may hold any lock there is.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::names::Cause;
use crate::record;

/// Asked, and not answered yet. Causes are bits, so many of one kind are one.
#[derive(Debug)]
pub(super) struct Requests {
    causes: AtomicU32,
    /// How many have been asked, and up to which all are answered.
    asked: AtomicU32,
    answered: AtomicU32,
    /// The process whose watcher answers; 0 without one. A fork child's does not answer for its parent.
    process: AtomicU64,
    /// The thread that answers: it must not wait for itself.
    thread: AtomicU32,
}

/// What a request is waited for by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u32);

/// Between two looks whether it is there. Sleeping needs neither a lock nor memory.
const STEP: Duration = Duration::from_millis(2);

/// Those that are asked for.
const CAUSES: [(Cause, u32); 3] = [(Cause::Signal, 1), (Cause::Panic, 2), (Cause::Exit, 4)];

impl Requests {
    pub(super) const fn new() -> Self {
        Self {
            causes: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            process: AtomicU64::new(0),
            thread: AtomicU32::new(0),
        }
    }

    /// From here on this process's are answered.
    pub(super) fn open(&self, process: u64) {
        self.causes.store(0, Ordering::Relaxed);
        self.process.store(process, Ordering::Relaxed);
    }

    /// Whether this process's are answered. For signal handlers too.
    pub(super) fn is_open(&self) -> bool {
        self.process.load(Ordering::Relaxed) == record::process()
    }

    /// Whether this is the thread that answers.
    pub(super) fn is_answered_here(&self) -> bool {
        self.thread.load(Ordering::Relaxed) == thread()
    }

    /// For signal handlers too. The watcher is to be woken after it.
    pub(super) fn ask(&self, cause: Cause) -> Ticket {
        let bit = CAUSES.iter().find(|(known, _)| *known == cause);
        let ticket = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Release pairs with the Acquire in `take`: who sees the cause sees the count.
        self.causes
            .fetch_or(bit.map_or(0, |(_, bit)| *bit), Ordering::Release);
        Ticket(ticket)
    }

    /// What is asked for, for the thread that answers; `answer` is to follow.
    pub(super) fn take(&self) -> (impl Iterator<Item = Cause>, Ticket) {
        self.thread.store(thread(), Ordering::Relaxed);
        let causes = self.causes.swap(0, Ordering::Acquire);
        let ticket = Ticket(self.asked.load(Ordering::Relaxed));
        let asked = CAUSES.iter().filter(move |(_, bit)| causes & bit != 0);
        (asked.map(|(cause, _)| *cause), ticket)
    }

    /// What was taken is done, or cannot be.
    pub(super) fn answer(&self, Ticket(ticket): Ticket) {
        // Release pairs with the Acquire in `wait`: the file is there.
        self.answered.store(ticket, Ordering::Release);
    }

    /// Waits until a request is answered, so long at most.
    pub(super) fn wait(&self, Ticket(ticket): Ticket, most: Duration) {
        let start = Instant::now();
        let is_answered = || self.answered.load(Ordering::Acquire).wrapping_sub(ticket) as i32 >= 0;
        while !is_answered() && start.elapsed() < most {
            std::thread::sleep(STEP);
        }
    }
}

fn thread() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::gettid() as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_by_what_was_taken_after_it() {
        let requests = Requests::new();
        let (causes, before) = requests.take();
        assert_eq!(causes.count(), 0);
        let ticket = requests.ask(Cause::Panic);
        requests.ask(Cause::Panic);
        // What was under way when it was asked for is not it.
        requests.answer(before);
        let start = Instant::now();
        requests.wait(ticket, Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
        let (causes, taken) = requests.take();
        assert_eq!(causes.collect::<Vec<_>>(), [Cause::Panic]);
        requests.answer(taken);
        requests.wait(ticket, Duration::from_secs(3600));
        assert!(requests.is_answered_here());
    }
}
