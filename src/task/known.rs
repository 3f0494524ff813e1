//! What is known of a task: written where it is polled and woken, read by who asks.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::MAX_NAME;
use super::wake::Handle;
use crate::cut::cut;
use crate::fork_lock::ForkLock;
use crate::record::{self, LabelSet, Now};
use crate::stack::{ModuleMark, OwnFrame, ReturnAddress};

/// One tracked future. All but `current` is written by one poll after the other, unless it says otherwise.
#[derive(Debug)]
pub(super) struct Task {
    /// From 1 on, in the order they were tracked.
    pub(super) id: u64,
    pub(super) name: Option<Cow<'static, str>>,
    /// Those in force where it was tracked.
    pub(super) labels: LabelSet,
    pub(super) site: Site,
    /// By the coarse clock, in nanoseconds.
    pub(super) tracked: u64,
    /// The same; 0 before the first poll. Polls that only answer do not count.
    pub(super) last_poll: AtomicU64,
    pub(super) is_polled: AtomicBool,
    /// Whether it was polled since it answered last.
    pub(super) has_moved: AtomicBool,
    /// Whether it was woken and not polled since; not by who asks. Written by all that wake.
    pub(super) is_woken: AtomicBool,
    /// Whether its future is done or dropped.
    pub(super) has_ended: AtomicBool,
    /// What the next poll is to do: see `Ask`. Written by who asks, taken by the poll.
    pub(super) asked: AtomicU8,
    /// Whether its executor's waker has panicked. Written by who asks.
    pub(super) cannot_be_woken: AtomicBool,
    /// The last answer: see `Answer`.
    pub(super) answer: AtomicU32,
    /// In which round that was given.
    pub(super) answered: AtomicU32,
    /// Wakers that there are, that of the wrapper included: who else is to wake it has one of the others.
    pub(super) wakers: AtomicUsize,
    /// How to wake it; None before the first poll and after the last.
    pub(super) current: ForkLock<Option<Arc<Handle>>, true>,
}

/// What the next poll of a task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ask {
    Nothing = 0,
    /// Answer.
    Where = 1,
    /// Answer once more, finally: the last answer were several places, and those that it had come past may have been among
    /// them.
    Again = 2,
}

/// What a poll that was asked has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet.
    None,
    /// Nobody has cloned the waker.
    NoWaker,
    /// There was no room for the stack.
    NoRoom,
    /// The number of a stack.
    At(u32),
}

impl Answer {
    pub(super) fn of_word(word: u32) -> Self {
        match word & !Self::UNSETTLED {
            0 => Answer::None,
            1 => Answer::NoWaker,
            2 => Answer::NoRoom,
            stack => Answer::At(stack - 3),
        }
    }

    pub(super) fn word(self) -> u32 {
        match self {
            Answer::None => 0,
            Answer::NoWaker => 1,
            Answer::NoRoom => 2,
            Answer::At(stack) => stack + 3,
        }
    }

    /// With this bit it is to be asked again.
    pub(super) const UNSETTLED: u32 = 1 << 31;
}

impl Task {
    pub(super) fn new(id: u64, name: Option<Cow<'static, str>>, own_frame: OwnFrame) -> Self {
        Self {
            id,
            name: name.map(shortened),
            labels: record::labels(),
            site: Site::here(own_frame),
            tracked: now(),
            last_poll: AtomicU64::new(0),
            is_polled: AtomicBool::new(false),
            has_moved: AtomicBool::new(true),
            is_woken: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            asked: AtomicU8::new(Ask::Nothing as u8),
            cannot_be_woken: AtomicBool::new(false),
            answer: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            wakers: AtomicUsize::new(0),
            current: ForkLock::new(None, || None),
        }
    }

    /// A poll of the program's begins. Relaxed, as all of these: each says something on its own.
    #[inline]
    pub(super) fn begin_poll(&self) {
        self.is_polled.store(true, Ordering::Relaxed);
        self.has_moved.store(true, Ordering::Relaxed);
        self.is_woken.store(false, Ordering::Relaxed);
        self.last_poll.store(now(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn end_poll(&self) {
        self.is_polled.store(false, Ordering::Relaxed);
    }

    /// What the last poll was asked, as word of `answer`.
    pub(super) fn settle(&self, answer: Answer, is_unsettled: bool, round: u32) {
        let unsettled = if is_unsettled { Answer::UNSETTLED } else { 0 };
        self.answer
            .store(answer.word() | unsettled, Ordering::Relaxed);
        self.has_moved.store(false, Ordering::Relaxed);
        // Release pairs with the Acquire in `has_answered`.
        self.answered.store(round, Ordering::Release);
    }

    pub(super) fn has_answered(&self, round: u32) -> bool {
        self.answered.load(Ordering::Acquire) == round
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.answer.load(Ordering::Relaxed) & Answer::UNSETTLED != 0
    }

    /// Whether it is still where it was when it answered last.
    pub(super) fn is_where_it_was(&self) -> bool {
        !self.has_moved.load(Ordering::Relaxed)
            && !self.is_woken.load(Ordering::Relaxed)
            && Answer::of_word(self.answer.load(Ordering::Relaxed)) != Answer::None
    }

    /// Whether nobody is left who could wake it: it waits, no clone of its waker is left, and none was used since it was
    /// polled last. A poll that begins while it is woken may hide that; so this holds for a task that has answered since.
    pub(super) fn is_lost(&self) -> bool {
        // Acquire pairs with the Release of the drop of a clone, so that what it was used for is seen.
        let clones = self.wakers.load(Ordering::Acquire);
        clones <= 1
            && self.last_poll.load(Ordering::Relaxed) != 0
            && !self.is_polled.load(Ordering::Relaxed)
            && !self.is_woken.load(Ordering::Relaxed)
    }
}

/// Where a future was tracked: the one function, as Go says of a goroutine who created it. Its callers would tell tasks
/// apart by how the executor came to poll their spawner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Site {
    /// A mark if there is one, and the return address.
    words: [ReturnAddress; 2],
    len: u8,
}

impl Site {
    fn here(own_frame: OwnFrame) -> Self {
        let stack = record::stack_here_of(own_frame, 2);
        let mut site = Self {
            words: [ReturnAddress(0); 2],
            len: 0,
        };
        for (word, from) in site.words.iter_mut().zip(stack.frames()) {
            *word = *from;
            site.len += 1;
            if ModuleMark::of_word(*from).is_none() {
                break;
            }
        }
        site
    }

    pub(super) fn frames(&self) -> &[ReturnAddress] {
        self.words.get(..self.len.into()).unwrap_or_default()
    }
}

fn shortened(name: Cow<'static, str>) -> Cow<'static, str> {
    let end = cut(&name, MAX_NAME).len();
    match name {
        _ if end == name.len() => name,
        Cow::Borrowed(name) => Cow::Borrowed(name.get(..end).unwrap_or_default()),
        Cow::Owned(mut name) => {
            name.truncate(end);
            Cow::Owned(name)
        }
    }
}

/// By the coarse clock, which takes 5 ns to read.
#[inline]
pub(super) fn now() -> u64 {
    Now::read().map_or(1, Now::nanos).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        for (name, expected) in [
            ("short".to_owned(), "short".to_owned()),
            ("a".repeat(MAX_NAME), "a".repeat(MAX_NAME)),
            ("a".repeat(MAX_NAME + 1), "a".repeat(MAX_NAME)),
            ("é".repeat(MAX_NAME), "é".repeat(MAX_NAME / 2)),
            ("€".repeat(MAX_NAME), "€".repeat(MAX_NAME / 3)),
        ] {
            assert_eq!(shortened(name.into()), expected);
        }
    }

    #[test]
    fn an_answer_is_what_was_written() {
        for answer in [
            Answer::None,
            Answer::NoWaker,
            Answer::NoRoom,
            Answer::At(0),
            Answer::At(32_767),
        ] {
            assert_eq!(Answer::of_word(answer.word()), answer);
            assert_eq!(Answer::of_word(answer.word() | Answer::UNSETTLED), answer);
        }
    }
}
