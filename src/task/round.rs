//! A round: every task that has moved since it answered last is woken, so that its executor polls it and it answers.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::TASKS;
use super::known::{Ask, Task};

/// Tasks that are woken and have not answered, at most. Doubled, tasks of the program's that are woken meanwhile wait for twice
/// as many that answer; halved, executors with many threads run dry between two looks.
const STORM: usize = 1000;

/// How long no task answers before those that were asked are given up: their executors poll nothing, or something for longer.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long all may take.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(2);

/// How long another who asks is waited for, who may have to wait that long himself.
pub(super) const PATIENCE_FOR_OTHERS: Duration = Duration::from_secs(5);

/// How long to sleep before looking for answers again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// Who has it may begin a round.
#[derive(Debug)]
pub(super) struct Rounds(());

impl Rounds {
    pub(super) const fn new() -> Self {
        Self(())
    }

    /// Asks `tasks`, and returns the number of the round and how many there was no time to ask.
    pub(super) fn ask_all(&mut self, tasks: &[Arc<Task>]) -> (u32, usize) {
        let number = TASKS.registry.begin_round();
        let end = Instant::now() + PATIENCE_FOR_ALL;
        let mut waiting: VecDeque<&Arc<Task>> = VecDeque::new();
        let mut rest = tasks
            .iter()
            .filter(|task| !task.is_where_it_was())
            .peekable();
        let (mut last_answer, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let before = waiting.len();
            waiting.retain(|task| !is_done(task, number));
            let mut is_going_on = waiting.len() < before;
            while waiting.len() < STORM {
                let Some(task) = rest.next() else { break };
                if ask(task, Ask::Where) {
                    waiting.push_back(task);
                    is_going_on = true;
                }
            }
            let now = Instant::now();
            if is_going_on {
                (last_answer, pause) = (now, FIRST_PAUSE);
            } else if now - last_answer >= PATIENCE {
                // Those that answer later are seen all the same.
                waiting.clear();
            }
            let is_over = waiting.is_empty() && rest.peek().is_none();
            if is_over || now >= end {
                break;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
        let unasked = rest.filter(|task| !task.has_ended.load(Ordering::Relaxed));
        (number, unasked.count())
    }
}

/// Whether a task that was asked has answered, finally, or never will.
fn is_done(task: &Arc<Task>, round: u32) -> bool {
    if task.has_ended.load(Ordering::Relaxed) {
        return true;
    }
    if !task.has_answered(round) {
        return false;
    }
    let is_final = !task.is_unsettled();
    if !is_final && task.asked.load(Ordering::Relaxed) == Ask::Nothing as u8 {
        return !ask(task, Ask::Again);
    }
    is_final
}

/// Wakes it; false if it cannot be woken. No lock is held meanwhile: a waker is the program's code, which may do anything but
/// keep this thread.
fn ask(task: &Task, ask: Ask) -> bool {
    let current = task.current.lock_soon().clone();
    let Some(handle) = current else {
        return false;
    };
    // Before it is woken, so that the poll which that leads to sees it: what an executor does to hand a task from one thread to
    // another orders them.
    task.asked.store(ask as u8, Ordering::Relaxed);
    let is_woken = is_well(|| handle.inner.wake_by_ref());
    task.cannot_be_woken.store(!is_woken, Ordering::Relaxed);
    // The task may have ended meanwhile, and this be the end of the executor's waker and of what that keeps alive.
    is_well(move || drop(handle));
    is_woken
}

/// Whether it does not panic.
fn is_well(work: impl FnOnce()) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    // What was thrown may panic when it is dropped.
    outcome.map_err(mem::forget).is_ok()
}
