//! All tasks at one time, each with where it waits or why that is not known.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::TASKS;
use super::known::{Answer, Site, Task, now};
use super::round::PATIENCE_FOR_OTHERS;
use super::stacks::AwaitStack;
use crate::record::{LabelSet, Suspended};
use crate::stack::ReturnAddress;

/// The tasks of this process, in the order they were tracked.
pub(crate) struct Snapshot {
    tasks: Vec<Arc<Task>>,
    stacks: Vec<Arc<AwaitStack>>,
    round: u32,
    /// Those that there was no time to ask.
    pub(crate) unasked: usize,
    now: u64,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Waiting,
    /// It is woken, and polled soon.
    Woken,
    Running,
    /// It is new.
    NotPolled,
}

/// Which stack a task has; the same for all that have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    at: Option<u32>,
    site: Site,
}

/// A task.
#[derive(Debug)]
pub(crate) struct TaskView<'a> {
    pub(crate) id: u64,
    pub(crate) name: &'a str,
    pub(crate) labels: LabelSet,
    pub(crate) state: State,
    pub(crate) place: Place,
    /// Why the place is that of `track` alone.
    pub(crate) missing: Option<&'static str>,
    /// Since it was polled last by itself, or if it never was, tracked.
    pub(crate) idle: Duration,
    /// Whether nobody is left who could wake it.
    pub(crate) is_lost: bool,
}

/// As a task is called that has no name.
const UNNAMED: &str = "unnamed";

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Woken => "woken",
            State::Running => "running",
            State::NotPolled => "not polled yet",
        }
    }
}

impl Snapshot {
    /// Asks the tasks. Takes 2 s at most for the answers; with 10 000 that wait some 50 ms, and those that have not been polled
    /// since the last time need not be asked. Not for signal handlers.
    pub(crate) fn take() -> Self {
        let _own = Suspended::new();
        let tasks = TASKS.registry.all();
        let rounds = match tasks.as_slice() {
            [] => None,
            _ => TASKS.rounds.lock_within(PATIENCE_FOR_OTHERS),
        };
        let (round, unasked) = match rounds {
            Some(mut rounds) => rounds.ask_all(&tasks),
            None => (TASKS.registry.round(), 0),
        };
        Self {
            tasks,
            stacks: TASKS.stacks.all(),
            round,
            unasked,
            now: now(),
        }
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        let tasks = self.tasks.iter();
        let alive = tasks.filter(|task| !task.has_ended.load(Ordering::Relaxed));
        alive.map(|task| self.view(task))
    }

    fn view<'a>(&self, task: &'a Task) -> TaskView<'a> {
        // Before what it says about the poll, so that a poll that ends meanwhile does not make it look lost.
        let is_lost = task.is_lost();
        let is_running = task.is_polled.load(Ordering::Relaxed);
        let last_poll = task.last_poll.load(Ordering::Relaxed);
        let is_known = task.has_answered(self.round) || task.is_where_it_was();
        let answer = match is_known {
            true => Answer::of_word(task.answer.load(Ordering::Relaxed)),
            false => Answer::None,
        };
        let (at, missing) = match answer {
            Answer::At(stack) => (Some(stack), None),
            Answer::NoWaker => (
                None,
                Some("its last poll has cloned no waker on its thread"),
            ),
            Answer::NoRoom => (None, Some("there are too many different stacks")),
            Answer::None => (None, Some(self.why_unknown(task))),
        };
        TaskView {
            id: task.id,
            name: task.name.as_deref().unwrap_or(UNNAMED),
            labels: task.labels,
            state: match at {
                _ if is_running => State::Running,
                _ if last_poll == 0 => State::NotPolled,
                _ if task.is_woken.load(Ordering::Relaxed) => State::Woken,
                _ => State::Waiting,
            },
            place: Place {
                at,
                site: task.site,
            },
            missing,
            idle: Duration::from_nanos(self.now.saturating_sub(last_poll.max(task.tracked))),
            // Of one that has not answered it is not certain: see there.
            is_lost: is_lost && is_known,
        }
    }

    fn why_unknown(&self, task: &Task) -> &'static str {
        if task.is_polled.load(Ordering::Relaxed) {
            return "it is being polled: see the threads";
        }
        if task.last_poll.load(Ordering::Relaxed) == 0 {
            return "it was never polled";
        }
        if task.cannot_be_woken.load(Ordering::Relaxed) {
            return "its executor's waker panicked";
        }
        match task.asked.load(Ordering::Relaxed) {
            0 => "there was no time to ask it",
            _ => "its executor has not polled it since it was woken to answer",
        }
    }

    /// The frames at a place, leaf first, ended by where it was tracked; and whether frames are missing before that.
    pub(crate) fn frames(&self, place: Place) -> (Vec<ReturnAddress>, bool) {
        let stack = place.at.and_then(|at| self.stacks.get(at as usize));
        let frames = stack.map_or(&[][..], |stack| &stack.frames);
        let site = place.site.frames();
        (
            frames.iter().chain(site).copied().collect(),
            stack.is_some_and(|stack| stack.is_truncated),
        )
    }
}
