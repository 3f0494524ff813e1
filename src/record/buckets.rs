//! Buckets: the counts of every (stack, size, rate, labels), in a lock-free table that only grows.
//!
//! ```text
//! heads[hash] ─▶ Bucket ─▶ Bucket ─▶ null      newest first; a bucket is immutable but for its counts
//!                ├ size, rate, labels, depth, allocs, frees
//!                ├ frames[depth]
//!                └ totals, if its sizes are mixed
//! ```
//!
//! As in Go, size is part of the key, so a bucket holds objects of one size and two counts say all: bytes are counts
//! times size. The rate is part of it too, which Go's buckets lack: what was counted under one rate keeps its scale
//! when the rate changes.
//!
//! A single call site that asks for ever new sizes would so use up all buckets there may be, and no later stack of the
//! program would be seen. So the last quarter is for stacks: a key that is new then goes to the bucket of its stack and rate
//! for mixed sizes, which keeps running totals as `Folded` does. A limit on the sizes of each stack would have needed a
//! second table, of stacks, in every program, for what hardly any has.
//!
//! Ever new labels could use up that quarter in the same way, so its second half is for stacks without them.

use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr::{self, NonNull};

use super::arena::Arena;
use super::busy::Busy;
use super::drops::NoRoom;
use super::folded::{Folded, FoldedTotals};
use super::label_set::LabelSet;
use super::shared::{AtomicPtr, AtomicU64, AtomicUsize, IN_MODEL, Ordering};
use crate::limits::Limits;
use crate::stack::{ReturnAddress, Stack, mix};

/// Chain heads of the table of samples: 128 KiB of zero pages, of which a page is touched when one of its 512 chains gets a bucket. At the
/// default limit of 65 536 buckets a chain has four on average; half as many heads would double that. A power of two.
const SAMPLES: usize = if IN_MODEL { 1 } else { 1 << 14 };

/// What stands for the size of a bucket of mixed sizes. No `Layout` is as large.
const MIXED: usize = usize::MAX;

/// One (stack, size, rate, labels) and its counts. 56 bytes, followed in memory by its frames, and those by a `Folded` if its sizes
/// are mixed.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bucket {
    next: AtomicPtr<Bucket>,
    hash: u64,
    size: usize,
    rate: usize,
    /// Sampled allocations, unless sizes are mixed. Goes up before the block's address leaves the allocator.
    allocs: AtomicU64,
    /// Sampled blocks freed. Goes up after `allocs` did for the same block: a reader that loads `frees` first
    /// never sees more frees than allocs.
    frees: AtomicU64,
    labels: LabelSet,
    /// At most `Limits::MAX_DEPTH`.
    depth: u16,
    truncated: bool,
}

/// What identifies a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) stack: &'a Stack,
    /// Requested bytes of one object.
    pub(crate) size: usize,
    /// Mean bytes between samples when they were taken.
    pub(crate) rate: usize,
    /// In force when they were taken.
    pub(crate) labels: LabelSet,
}

#[derive(Debug)]
pub(crate) struct Buckets<const HEADS: usize = SAMPLES> {
    /// A power of two of them.
    heads: [AtomicPtr<Bucket>; HEADS],
    len: AtomicUsize,
    /// Samples whose stack lost frames on the root side.
    truncated_samples: AtomicU64,
    arena: Arena,
}

impl Bucket {
    /// Bytes of one object, as requested; None if they differ.
    pub(crate) fn size(&self) -> Option<usize> {
        (self.size != MIXED).then_some(self.size)
    }

    /// The sampling rate that its objects were sampled at.
    pub(crate) fn rate(&self) -> usize {
        self.rate
    }

    /// What its objects were allocated under.
    pub(crate) fn labels(&self) -> LabelSet {
        self.labels
    }

    /// Leaf first.
    pub(crate) fn frames(&self) -> &[ReturnAddress] {
        // A pointer made from `&self` may reach no further than the header; `create` has exposed one to the whole block.
        let first = ptr::with_exposed_provenance::<ReturnAddress>(self.behind());
        // SAFETY: buckets are made only by `Buckets::create`, which writes `depth` frames right behind the header
        // before anybody can see the bucket, in the same block of the arena, which outlives the bucket.
        unsafe { core::slice::from_raw_parts(first, usize::from(self.depth)) }
    }

    /// Where its frames begin.
    fn behind(&self) -> usize {
        ptr::from_ref(self).addr() + size_of::<Self>()
    }

    /// Whether frames are missing on the root side.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// What is counted in the place of `allocs` and `frees` if sizes are mixed.
    pub(super) fn mixed(&self) -> Option<&Folded> {
        if self.size != MIXED {
            return None;
        }
        let at = self.behind() + usize::from(self.depth) * size_of::<ReturnAddress>();
        // As for the frames.
        let totals = ptr::with_exposed_provenance::<Folded>(at);
        // SAFETY: `Buckets::create` writes totals right behind the frames of a bucket whose size is `MIXED`, before anybody
        // can see the bucket, in the same block of the arena, which outlives the bucket.
        Some(unsafe { &*totals })
    }

    /// (allocs, frees) if sizes are mixed.
    pub(crate) fn mixed_totals(&self) -> Option<(FoldedTotals, FoldedTotals)> {
        self.mixed().map(Folded::totals)
    }

    pub(super) fn count_alloc(&self) {
        self.allocs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_free(&self) {
        // Release pairs with the Acquire load in `counts`.
        self.frees.fetch_add(1, Ordering::Release);
    }

    /// Sampled (allocs, frees); frees ≤ allocs.
    pub(crate) fn counts(&self) -> (u64, u64) {
        if let Some((allocs, frees)) = self.mixed_totals() {
            return (allocs.samples, frees.samples);
        }
        // Frees first. Acquire pairs with the Release in `count_free`, before which the same block's alloc was counted
        // (the freeing thread got the block from the allocating one).
        let frees = self.frees.load(Ordering::Acquire);
        (self.allocs.load(Ordering::Relaxed), frees)
    }

    fn is(&self, hash: u64, key: &Key<'_>) -> bool {
        self.hash == hash
            && self.size == key.size
            && self.rate == key.rate
            && self.labels == key.labels
            && self.truncated == key.stack.is_truncated()
            && ReturnAddress::words(self.frames()) == ReturnAddress::words(key.stack.frames())
    }
}

impl<const HEADS: usize> Buckets<HEADS> {
    pub(crate) const fn new() -> Self {
        Self {
            heads: [const { AtomicPtr::new(ptr::null_mut()) }; HEADS],
            len: AtomicUsize::new(0),
            truncated_samples: AtomicU64::new(0),
            arena: Arena::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Samples taken whose stack was deeper than the limit.
    pub(crate) fn truncated_samples(&self) -> u64 {
        self.truncated_samples.load(Ordering::Relaxed)
    }

    /// Bytes of memory held, without the heads.
    pub(crate) fn mapped(&self) -> usize {
        self.arena.mapped()
    }

    /// The bucket for `key`, made if it is new and there is room for one more size among `limit` buckets; that for mixed
    /// sizes of its stack and labels if there is not, or, in the end, for those of its stack.
    pub(crate) fn find_or_insert(
        &self,
        busy: &Busy<'_>,
        key: Key<'_>,
        limit: usize,
    ) -> Result<&Bucket, NoRoom> {
        if key.stack.is_truncated() {
            self.truncated_samples.fetch_add(1, Ordering::Relaxed);
        }
        match self.find_or_insert_exactly(busy, key, limit - limit / 4) {
            Err(NoRoom::Limit) => self.find_or_insert_mixed(busy, key, limit),
            done => done,
        }
    }

    #[cold]
    #[inline(never)]
    fn find_or_insert_mixed(
        &self,
        busy: &Busy<'_>,
        key: Key<'_>,
        limit: usize,
    ) -> Result<&Bucket, NoRoom> {
        let mixed = Key { size: MIXED, ..key };
        let labels = LabelSet::NONE;
        if key.labels != labels {
            match self.find_or_insert_whole(busy, mixed, limit - limit / 8) {
                Err(NoRoom::Limit) => {}
                done => return done,
            }
        }
        self.find_or_insert_whole(busy, Key { labels, ..mixed }, limit)
    }

    /// `find_or_insert_exactly`, for those who ask seldom.
    #[inline(never)]
    pub(super) fn find_or_insert_whole(
        &self,
        busy: &Busy<'_>,
        key: Key<'_>,
        limit: usize,
    ) -> Result<&Bucket, NoRoom> {
        self.find_or_insert_exactly(busy, key, limit)
    }

    /// The bucket for `key`, made if it is new and fewer than `limit` exist.
    #[inline(always)]
    fn find_or_insert_exactly(
        &self,
        busy: &Busy<'_>,
        key: Key<'_>,
        limit: usize,
    ) -> Result<&Bucket, NoRoom> {
        let hash = hash(&key);
        let Some(head) = self.heads.get(hash as usize & (HEADS - 1)) else {
            return Err(NoRoom::Limit);
        };
        // Acquire pairs with the Release of the push below: who sees a bucket sees its key and frames.
        let mut newest = head.load(Ordering::Acquire);
        if let Some(found) = self.find(newest, ptr::null_mut(), hash, &key) {
            return Ok(found);
        }
        // At the limit threads only read.
        if self.len() >= limit {
            return Err(NoRoom::Limit);
        }
        // Reserved before it is made, so that the limit holds whatever the threads do.
        if self.len.fetch_add(1, Ordering::Relaxed) >= limit {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::Limit);
        }
        let Some(fresh) = self.create(busy, hash, &key) else {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::Memory);
        };
        loop {
            // SAFETY: `fresh` is initialised and not yet shared.
            unsafe { fresh.as_ref() }
                .next
                .store(newest, Ordering::Relaxed);
            match head.compare_exchange(
                newest,
                fresh.as_ptr(),
                Ordering::Release,
                Ordering::Acquire,
            ) {
                // SAFETY: initialised by `create`, and in the arena as long as `self` lives.
                Ok(_) => return Ok(unsafe { fresh.as_ref() }),
                Err(now) => {
                    // Others pushed meanwhile: only what they pushed needs a look.
                    if let Some(found) = self.find(now, newest, hash, &key) {
                        self.len.fetch_sub(1, Ordering::Relaxed);
                        return Ok(found);
                    }
                    newest = now;
                }
            }
        }
    }

    /// Looks along a chain from `first` up to, not including, `end`.
    fn find(
        &self,
        first: *mut Bucket,
        end: *mut Bucket,
        hash: u64,
        key: &Key<'_>,
    ) -> Option<&Bucket> {
        self.chain(first)
            .take_while(|bucket| !ptr::eq(*bucket, end))
            .find(|bucket| bucket.is(hash, key))
    }

    fn chain(&self, first: *mut Bucket) -> impl Iterator<Item = &Bucket> {
        let follow = |bucket: *mut Bucket| {
            // SAFETY: chains hold null or buckets that `create` has initialised, in the arena as long as `self` lives.
            NonNull::new(bucket).map(|bucket| unsafe { bucket.as_ref() })
        };
        core::iter::successors(follow(first), move |bucket| {
            follow(bucket.next.load(Ordering::Acquire))
        })
    }

    /// All buckets there are now. Buckets that are added meanwhile may or may not be seen.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.heads
            .iter()
            .flat_map(|head| self.chain(head.load(Ordering::Acquire)))
    }

    fn create(&self, busy: &Busy<'_>, hash: u64, key: &Key<'_>) -> Option<NonNull<Bucket>> {
        const {
            assert!(
                align_of::<Bucket>() == 8
                    && size_of::<Bucket>().is_multiple_of(align_of::<ReturnAddress>())
                    && size_of::<ReturnAddress>().is_multiple_of(align_of::<Folded>())
                    && Limits::MAX_DEPTH <= u16::MAX as usize
            )
        };
        let frames = key.stack.frames();
        let totals = if key.size == MIXED {
            size_of::<Folded>()
        } else {
            0
        };
        let bytes = size_of::<Bucket>() + size_of_val(frames) + totals;
        let bucket: NonNull<Bucket> = self.arena.alloc(busy, bytes)?.cast();
        // For `Bucket::frames`.
        let _ = bucket.as_ptr().expose_provenance();
        let header = Bucket {
            next: AtomicPtr::new(ptr::null_mut()),
            hash,
            size: key.size,
            rate: key.rate,
            allocs: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            labels: key.labels,
            depth: frames.len() as u16,
            truncated: key.stack.is_truncated(),
        };
        // SAFETY: the block is `bytes` long, aligned to 8, and nobody else has it.
        unsafe { bucket.write(header) };
        // SAFETY: behind the header there is room for `frames.len()` frames, see `bytes`.
        let first = unsafe { bucket.add(1) }.cast::<MaybeUninit<ReturnAddress>>();
        // SAFETY: as above; the stack is a local of the caller's and does not overlap the arena.
        unsafe { ptr::copy_nonoverlapping(frames.as_ptr().cast(), first.as_ptr(), frames.len()) };
        if key.size == MIXED {
            // SAFETY: behind the frames there is room for it, see `bytes`, and there it is aligned, see above.
            let totals = unsafe { first.add(frames.len()) }.cast::<Folded>();
            // SAFETY: as above; nobody else has the block.
            unsafe { totals.write(Folded::new()) };
        }
        Some(bucket)
    }
}

/// Mixes all of the key.
fn hash(key: &Key<'_>) -> u64 {
    let words = [
        key.size as u64,
        key.rate as u64,
        u64::from(key.stack.is_truncated()) | u64::from(key.labels.number()) << 1,
    ];
    let hash = words.into_iter().fold(key.stack.hash(), mix);
    hash ^ (hash >> 32)
}

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
mod tests;
