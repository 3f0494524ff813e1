//! Which tasks there are: in shards, so that threads that track at the same time seldom meet.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::MAX_TASKS;
use super::known::Task;
use crate::fork_lock::{ForkLock, Held};
use crate::record;

/// Halved, twice as many threads meet; doubled, an empty registry takes 3 KiB more.
const SHARDS: usize = 64;

/// All tasks.
pub(super) struct Registry {
    shards: [Shard; SHARDS],
    /// The last one given to a task.
    id: AtomicU64,
    /// Futures that there was no room for.
    untracked: AtomicU64,
    /// The number of the round that tasks are asked in, or were last.
    round: AtomicU32,
}

/// Aligned, so that each has lines of the cache for itself.
#[repr(align(64))]
struct Shard {
    slots: ForkLock<Slots, true>,
    /// Of the slots that are used, for who counts without the lock.
    len: AtomicUsize,
    /// Whose tasks these are, by `record::generation`; 0 before the first. Written under the lock.
    process: AtomicU64,
}

impl Shard {
    const fn new() -> Self {
        Self {
            slots: ForkLock::new(Slots::new(), Slots::new),
            len: AtomicUsize::new(0),
            process: AtomicU64::new(0),
        }
    }

    /// The slots, without those of a parent: a fork child has a copy of its tasks, which nobody polls, and they would take up
    /// its room.
    fn lock(&self) -> Held<'_, Slots, true> {
        let mut slots = self.slots.lock_soon();
        let process = record::generation();
        if self.process.load(Ordering::Relaxed) != process {
            // Not dropped: with a task may go the last reference to a waker, which is the program's code.
            mem::forget(mem::take(&mut *slots));
            self.len.store(0, Ordering::Relaxed);
            // Release pairs with the Acquire in `len`.
            self.process.store(process, Ordering::Release);
        }
        slots
    }

    fn len(&self) -> usize {
        match self.process.load(Ordering::Acquire) == record::generation() {
            true => self.len.load(Ordering::Relaxed),
            false => 0,
        }
    }
}

/// Tasks by number; a list of the numbers that are free.
#[derive(Debug, Default)]
struct Slots {
    tasks: Vec<Option<Arc<Task>>>,
    free: Vec<u32>,
}

impl Slots {
    const fn new() -> Self {
        Self {
            tasks: Vec::new(),
            free: Vec::new(),
        }
    }
}

/// Where a task is registered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(u32);

impl Registry {
    pub(super) const fn new() -> Self {
        Self {
            shards: [const { Shard::new() }; SHARDS],
            id: AtomicU64::new(0),
            untracked: AtomicU64::new(0),
            round: AtomicU32::new(0),
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        self.id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn shard(&self, id: u64) -> Option<&Shard> {
        self.shards.get(id as usize % SHARDS)
    }

    /// None, and counted, if there are too many.
    pub(super) fn add(&self, task: &Arc<Task>) -> Option<Place> {
        let place = self.try_add(task);
        if place.is_none() {
            self.untracked.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    fn try_add(&self, task: &Arc<Task>) -> Option<Place> {
        let shard = self.shard(task.id)?;
        if shard.len() >= MAX_TASKS / SHARDS {
            return None;
        }
        let mut slots = shard.lock();
        let slots = &mut *slots;
        let nth = match slots.free.pop() {
            Some(nth) => nth,
            None => {
                slots.tasks.push(None);
                u32::try_from(slots.tasks.len() - 1).ok()?
            }
        };
        *slots.tasks.get_mut(nth as usize)? = Some(Arc::clone(task));
        shard.len.fetch_add(1, Ordering::Relaxed);
        Some(Place(nth))
    }

    /// Takes it out.
    pub(super) fn remove(&self, task: &Task, Place(nth): Place) {
        let Some(shard) = self.shard(task.id) else {
            return;
        };
        let mut slots = shard.lock();
        // In a fork child the slots have been made anew.
        let mut slot = slots.tasks.get_mut(nth as usize);
        let is_there = |slot: &&mut Option<Arc<Task>>| {
            let there = slot.as_ref();
            there.is_some_and(|there| there.id == task.id)
        };
        if let Some(slot) = slot.take().filter(is_there) {
            let removed = slot.take();
            slots.free.push(nth);
            shard.len.fetch_sub(1, Ordering::Relaxed);
            drop(slots);
            drop(removed);
        }
    }

    /// Those of this process, in the order they were tracked.
    pub(super) fn all(&self) -> Vec<Arc<Task>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let slots = shard.lock();
            let tasks = slots.tasks.iter().flatten();
            all.extend(tasks.cloned());
        }
        all.sort_unstable_by_key(|task| task.id);
        all
    }

    pub(super) fn len(&self) -> usize {
        let lens = self.shards.iter();
        lens.map(Shard::len).sum()
    }

    pub(super) fn untracked(&self) -> u64 {
        self.untracked.load(Ordering::Relaxed)
    }

    /// The round in which tasks answer.
    pub(super) fn round(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Begins a round. Never 0, in which no task has answered.
    pub(super) fn begin_round(&self) -> u32 {
        let round = self.round().wrapping_add(1).max(1);
        self.round.store(round, Ordering::Relaxed);
        round
    }
}
