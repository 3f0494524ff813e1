//! A poll that is asked where it waits: what lies below it on the thread's stack, and the stacks of the clones in it.

use std::cell::RefCell;

use super::TASKS;
use super::known::{Answer, Ask, Task};
use crate::record::{self, Suspended};
use crate::stack::{ModuleMark, OwnFrame, ReturnAddress};

/// Places of one task that are told apart. One that waits for more is shown at one of these.
const MOST: usize = 8;

thread_local! {
    /// The polls on this thread that are asked, the innermost last.
    static PROBES: RefCell<Vec<Probe>> = const { RefCell::new(Vec::new()) };
}

struct Probe {
    task: u64,
    /// From the caller of the poll to the root.
    below: Vec<ReturnAddress>,
    /// Numbers of stacks, in the order they came.
    found: Vec<u32>,
    /// A stack that there was no room for.
    has_lost: bool,
}

/// As long as it lives clones of the task's waker are noted.
pub(super) struct Probing<'a> {
    task: &'a Task,
    ask: u8,
}

impl<'a> Probing<'a> {
    /// Begins in the function whose frame this is, which calls the future.
    pub(super) fn begin(task: &'a Task, ask: u8, own_frame: OwnFrame) -> Self {
        let _own = Suspended::new();
        let stack = record::stack_here(own_frame);
        let first = stack
            .frames()
            .iter()
            .position(|word| ModuleMark::of_word(*word).is_none());
        let below = stack.frames().get(first.unwrap_or(0)..).unwrap_or_default();
        let probe = Probe {
            task: task.id,
            below: below.to_vec(),
            found: Vec::new(),
            has_lost: false,
        };
        // Not on a thread that has begun to end.
        let _ = PROBES.try_with(|probes| probes.borrow_mut().push(probe));
        Self { task, ask }
    }

    /// The answer of a poll that is pending.
    pub(super) fn settle(&self) {
        let _own = Suspended::new();
        let found = PROBES.try_with(|probes| {
            let probes = probes.borrow();
            let probe = probes.last().filter(|probe| probe.task == self.task.id)?;
            Some((probe.found.clone(), probe.has_lost))
        });
        let Ok(Some((mut found, has_lost))) = found else {
            return;
        };
        let is_unsettled = found.len() > 1 && self.ask == Ask::Where as u8;
        let answer = match found.as_slice() {
            [] if has_lost => Answer::NoRoom,
            [] => Answer::NoWaker,
            [one] => Answer::At(*one),
            [first, ..] => {
                let first = *first;
                found.sort_unstable();
                Answer::At(TASKS.stacks.shown_of(found, first))
            }
        };
        self.task
            .settle(answer, is_unsettled, TASKS.registry.round());
    }
}

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        let _own = Suspended::new();
        let _ = PROBES.try_with(|probes| {
            let mut probes = probes.borrow_mut();
            let nth = probes.iter().rposition(|probe| probe.task == self.task.id);
            nth.map(|nth| probes.remove(nth))
        });
    }
}

/// The task's waker is cloned, by what called the function that has this frame.
pub(super) fn cloned(task: &Task, own_frame: OwnFrame) {
    // Not on another thread than the one that polls, and not behind the poll.
    let _ = PROBES.try_with(|probes| {
        let mut probes = probes.try_borrow_mut().ok()?;
        let mut innermost_first = probes.iter_mut().rev();
        let probe = innermost_first.find(|probe| probe.task == task.id)?;
        let _own = Suspended::new();
        let stack = record::stack_here(own_frame);
        let (frames, is_whole) = above(stack.frames(), &probe.below);
        match TASKS.stacks.number(frames, !is_whole) {
            Some(stack) if probe.found.contains(&stack) => {}
            Some(stack) if probe.found.len() < MOST => probe.found.push(stack),
            Some(_) => {}
            None => probe.has_lost = true,
        }
        Some(())
    });
}

/// The part of a stack, leaf first, from the leaf to the future that was polled by the function whose callers are `below`;
/// and whether that part is whole.
///
/// ```text
///  stack:  leaf … future  asked  ┌caller … root┐
///  below:                        └caller … root┘
/// ```
fn above<'s>(stack: &'s [ReturnAddress], below: &[ReturnAddress]) -> (&'s [ReturnAddress], bool) {
    let is_below = |rest: &[ReturnAddress]| {
        let same = rest.len().min(below.len());
        rest.get(..same) == below.get(..same)
    };
    let first = (1..stack.len()).find(|nth| stack.get(*nth..).is_some_and(is_below));
    match first {
        // The one before is that of the function that asks.
        Some(first) => (stack.get(..first - 1).unwrap_or_default(), true),
        None => (stack, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[usize]) -> Vec<ReturnAddress> {
        words.iter().copied().map(ReturnAddress).collect()
    }

    #[test]
    fn what_is_below_the_poll_is_cut_off_also_where_it_is_truncated_or_recurs() {
        for (stack, below, expected, is_whole) in [
            (&[1, 2, 9, 5, 6][..], &[5, 6][..], &[1, 2][..], true),
            (&[1, 2, 9, 5], &[5, 6], &[1, 2], true),
            // The poll's callers have called themselves, on the way to it and in the future.
            (&[1, 5, 9, 5, 5, 6], &[5, 5, 6], &[1, 5], true),
            (&[1, 2, 3], &[5, 6], &[1, 2, 3], false),
            (&[9, 5, 6], &[5, 6], &[], true),
            (&[], &[5], &[], false),
        ] {
            let found = above(&words(stack), &words(below)).0.to_vec();
            assert_eq!(found, words(expected), "{stack:?}");
            assert_eq!(above(&words(stack), &words(below)).1, is_whole);
        }
    }
}
