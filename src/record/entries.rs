//! Things of the program's own that are alive, by what made them: the counts of profiles that a program registers.
//!
//! The table is that of samples: lock-free, never freed, and a thing's end is one addition. A profile's number stands where a
//! sample has its size.

use core::sync::atomic::Ordering;

use super::buckets::{Bucket, Buckets, Key};
use super::busy::Busy;
use super::drops::NoRoom;
use super::label_set::LabelSet;
use super::shared::IN_MODEL;
use super::thread::Thread;
use super::{RECORD, limits};
use crate::stack::{self, OwnFrame, Stack};

/// Chain heads: 16 KiB of zero pages, in which a chain has eight stacks at the default limit.
const HEADS: usize = if IN_MODEL { 1 } else { 1 << 11 };

#[derive(Debug)]
pub(super) struct Entries(Buckets<HEADS>);

impl Entries {
    pub(super) const fn new() -> Self {
        Self(Buckets::new())
    }

    /// Counts one. Near the limit without its labels, so that those of one stack do not take the place of others.
    pub(super) fn enter(
        &self,
        busy: &Busy<'_>,
        profile: usize,
        stack: &Stack,
        limit: usize,
    ) -> Result<&Bucket, NoRoom> {
        let key = Key {
            stack,
            size: profile,
            rate: 1,
            labels: busy.labels(),
        };
        let found = match self.0.find_or_insert_whole(busy, key, limit - limit / 4) {
            Err(NoRoom::Limit) => {
                let labels = LabelSet::NONE;
                self.0
                    .find_or_insert_whole(busy, Key { labels, ..key }, limit)
            }
            done => done,
        };
        found.inspect(|bucket| bucket.count_alloc())
    }

    pub(super) fn of(&self, profile: usize) -> impl Iterator<Item = &Bucket> {
        let all = self.0.iter();
        all.filter(move |bucket| bucket.size() == Some(profile))
    }

    /// Bytes of memory held, without the heads.
    pub(super) fn mapped(&self) -> usize {
        self.0.mapped()
    }
}

/// Counts a thing of the program's under its number of profile, the calling thread's stack, as in `stack_here`, and its
/// labels. None, and counted, if there is no room for it, or if the thread is inside the profiler. Not for signal handlers.
pub(crate) fn enter(profile: usize, own_frame: OwnFrame) -> Option<&'static Bucket> {
    let limits = limits();
    let mut stack = Stack::new();
    let entered = Thread::with(|thread| {
        let busy = Busy::enter(thread)?;
        stack::capture(
            &RECORD.delta,
            busy.own_stack(),
            own_frame,
            limits.depth,
            &mut stack,
        );
        let entered = RECORD
            .entries
            .enter(&busy, profile, &stack, limits.custom_stacks);
        busy.leave();
        entered.ok()
    });
    if entered.is_none() {
        RECORD.drops.entries.fetch_add(1, Ordering::Relaxed);
    }
    entered
}

/// One that was entered has ended.
pub(crate) fn exit(entered: &Bucket) {
    entered.count_free();
}

/// What was entered for a profile, by stack and labels.
pub(crate) fn entered(profile: usize) -> impl Iterator<Item = &'static Bucket> {
    RECORD.entries.of(profile)
}
