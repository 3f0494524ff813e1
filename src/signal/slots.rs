//! Slots: where a handler leaves the stack of its thread for who has asked.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::stack::Stack;

/// Threads that are asked at a time. Each needs a turn on a processor, for which it has the time that one is waited for: of 64
/// that compute on two processors the last would come too late.
pub(super) const SLOTS: usize = 16;

/// A slot is one thread's from `ask` on, until its answer is taken, or it has not begun and is given up.
///
/// `word`:
///
/// ```text
///  63   62 61          40 39          0
/// ┌───────┬──────────────┬─────────────┐
/// │ state │ thread       │ generation  │   all 0: free
/// └───────┴──────────────┴─────────────┘
///
///   free ──ask──▶ asked ──answer──▶ being written ──▶ answered ──take──▶ free
///     ▲             │                     │ given up meanwhile: nobody's, until `reclaim`
///     └──give_up────┘                     ▼
/// ```
///
/// A handler takes the slot by changing exactly the word that it has read. One that comes late finds another generation, or
/// another thread, and writes nothing; one that is in the middle of it keeps the slot from being asked for.
#[derive(Debug)]
struct Slot {
    word: AtomicU64,
    stack: UnsafeCell<Stack>,
}

// SAFETY: the stack belongs to who moved the word to its state: the handler while it is being written, the asker, of whom there is
// one, otherwise.
unsafe impl Sync for Slot {}

const ASKED: u64 = 1 << 62;
const WRITING: u64 = 2 << 62;
const ANSWERED: u64 = 3 << 62;
const STATE: u64 = 3 << 62;
const GENERATION: u64 = (1 << 40) - 1;

fn thread_bits(tid: i32) -> u64 {
    // The kernel's numbers have 22 bits at most.
    (tid as u64 & ((1 << 22) - 1)) << 40
}

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    slots: [Slot; SLOTS],
    generation: AtomicU64,
    /// How many answers there were, which the asker sleeps on.
    answers: AtomicU32,
}

/// A thread that was asked.
#[derive(Debug)]
pub(super) struct Ticket {
    slot: usize,
    /// Its word, without the state.
    word: u64,
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self {
            slots: [const {
                Slot {
                    word: AtomicU64::new(0),
                    stack: UnsafeCell::new(Stack::new()),
                }
            }; SLOTS],
            generation: AtomicU64::new(0),
            answers: AtomicU32::new(0),
        }
    }

    /// Frees the slots of answers that came after they were given up. For the asker, who has no ticket.
    pub(super) fn reclaim(&self) {
        for slot in &self.slots {
            // Acquire: the handler is done with the stack.
            if slot.word.load(Ordering::Acquire) & STATE == ANSWERED {
                slot.word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Frees all slots, in a fork child: the threads that were asked are not here.
    pub(super) fn reset(&self) {
        for slot in &self.slots {
            slot.word.store(0, Ordering::Relaxed);
        }
    }

    /// A slot for the answer of a thread, which is to be sent its signal next. None if there is no free one.
    pub(super) fn ask(&self, tid: i32) -> Option<Ticket> {
        let is_free = |slot: &&Slot| slot.word.load(Ordering::Relaxed) == 0;
        let slot = self.slots.iter().position(|slot| is_free(&slot))?;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let word = thread_bits(tid) | (generation & GENERATION);
        // Release: what the asker has read of the stack is read before it is written. Pairs with the Acquire in `answer`.
        self.slots
            .get(slot)?
            .word
            .store(ASKED | word, Ordering::Release);
        Some(Ticket { slot, word })
    }

    /// In the handler: has `write` fill the slot of the calling thread, if that was asked.
    pub(super) fn answer(&self, tid: i32, write: impl FnOnce(&mut Stack)) {
        let own = |word: u64| word & !GENERATION == ASKED | thread_bits(tid);
        for slot in &self.slots {
            let word = slot.word.load(Ordering::Relaxed);
            if own(word) && slot.begin(word) {
                // SAFETY: `begin` made the stack this handler's, and no other can begin here.
                let stack = unsafe { &mut *slot.stack.get() };
                stack.clear();
                write(stack);
                slot.word
                    .store(ANSWERED | (word & !STATE), Ordering::Release);
                self.ring();
                return;
            }
        }
    }

    /// What `read` makes of the answer; None if there is none yet.
    pub(super) fn take<T>(&self, ticket: &Ticket, read: impl FnOnce(&Stack) -> T) -> Option<T> {
        let slot = self.slots.get(ticket.slot)?;
        // Pairs with the Release in `answer`.
        if slot.word.load(Ordering::Acquire) != ANSWERED | ticket.word {
            return None;
        }
        // SAFETY: answered, so no handler writes there, and none can begin before the slot is asked for again.
        let result = read(unsafe { &*slot.stack.get() });
        slot.word.store(0, Ordering::Relaxed);
        Some(result)
    }

    /// Takes the question back. False if it is being answered, or has been.
    pub(super) fn give_up(&self, ticket: &Ticket) -> bool {
        let Some(slot) = self.slots.get(ticket.slot) else {
            return true;
        };
        slot.word
            .compare_exchange(ASKED | ticket.word, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// A number that changes with every answer.
    pub(super) fn answers(&self) -> u32 {
        self.answers.load(Ordering::Acquire)
    }

    fn ring(&self) {
        self.answers.fetch_add(1, Ordering::Release);
        // SAFETY: wakes who sleeps on a word of ours; touches no memory.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.answers.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
    }

    /// Sleeps until there are other than `seen` answers, or so long.
    pub(super) fn wait(&self, seen: u32, limit: Duration) {
        let limit = libc::timespec {
            tv_sec: limit.as_secs() as _,
            tv_nsec: limit.subsec_nanos().into(),
        };
        // SAFETY: sleeps while the word is `seen`; `limit` is a local.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.answers.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                seen,
                &raw const limit,
            )
        };
    }
}

impl Slot {
    /// In the handler: whether the slot is its own from here on.
    fn begin(&self, asked: u64) -> bool {
        let writing = WRITING | (asked & !STATE);
        // Acquire pairs with the Release in `ask`.
        self.word
            .compare_exchange(asked, writing, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(stack: &Stack) -> Vec<usize> {
        stack.frames().iter().map(|frame| frame.0).collect()
    }

    #[test]
    fn an_answer_is_taken_by_who_asked() {
        let slots = Slots::new();
        let (one, other) = (slots.ask(7).unwrap(), slots.ask(8).unwrap());
        slots.answer(9, |_| panic!("nobody asked it"));
        assert_eq!(slots.take(&one, frames), None);
        slots.answer(8, |stack| *stack = Stack::of(&[0x8000]));
        assert_eq!(slots.take(&one, frames), None);
        assert_eq!(slots.take(&other, frames), Some(vec![0x8000]));
        slots.answer(7, |_| ());
        assert_eq!(slots.take(&one, frames), Some(vec![]), "cleared");
    }

    /// With the word compared without its generation the second part fails.
    #[test]
    fn a_late_handler_writes_into_nobody_elses_slot() {
        let slots = Slots::new();
        let late = slots.ask(7).unwrap();
        let seen = slots.slots[late.slot].word.load(Ordering::Relaxed);
        assert!(slots.give_up(&late));
        for next in [8, 7] {
            let ticket = slots.ask(next).unwrap();
            assert_eq!(ticket.slot, late.slot);
            assert!(!slots.slots[late.slot].begin(seen), "by thread {next}");
            assert!(slots.give_up(&ticket));
        }
        slots.answer(7, |_| panic!("nobody asks any more"));
    }

    #[test]
    fn a_slot_that_is_being_written_is_not_asked_for() {
        let slots = Slots::new();
        let tickets: Vec<_> = (0..SLOTS as i32)
            .map(|tid| slots.ask(tid).unwrap())
            .collect();
        assert!(slots.ask(99).is_none());
        slots.answer(3, |_| {
            assert!(!slots.give_up(&tickets[3]));
            for (nth, ticket) in tickets.iter().enumerate().filter(|(nth, _)| *nth != 3) {
                assert!(slots.give_up(ticket), "{nth}");
            }
            slots.reclaim();
            assert_eq!((0..).map_while(|tid| slots.ask(tid)).count(), SLOTS - 1);
        });
        assert!(slots.ask(99).is_none());
        slots.reclaim();
        assert!(slots.ask(99).is_some(), "answered, and nobody waits for it");
        slots.reset();
        assert_eq!((0..).map_while(|tid| slots.ask(tid)).count(), SLOTS);
    }
}
