//! The threads that are listed: slots in pages, taken by compare-exchange, never unmapped.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use super::counts::Counts;
use crate::pages;

/// A listed thread.
#[derive(Debug)]
pub(super) struct Slot {
    /// Null if the slot is free, `RESERVED` while it is being taken.
    pub(super) counts: AtomicPtr<Counts>,
    pub(super) tid: AtomicI32,
}

const RESERVED: *mut Counts = ptr::without_provenance_mut(1);
/// Of a chunk: with its link, a page.
const SLOTS: usize = 255;

#[derive(Debug)]
#[repr(C)]
struct Chunk {
    next: AtomicPtr<Chunk>,
    slots: [Slot; SLOTS],
}

const _: () = assert!(size_of::<Chunk>() == 4088);

#[derive(Debug)]
pub(super) struct Slots {
    first: AtomicPtr<Chunk>,
    mapped: AtomicUsize,
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self {
            first: AtomicPtr::new(ptr::null_mut()),
            mapped: AtomicUsize::new(0),
        }
    }

    /// Bytes mapped.
    pub(super) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }

    /// A free one, `RESERVED` from now on. None if the system has no memory for it.
    pub(super) fn take(&self) -> Option<&Slot> {
        loop {
            let first = self.first.load(Ordering::Acquire);
            if let Some(slot) = Self::take_of(first) {
                return Some(slot);
            }
            let fresh = pages::map(size_of::<Chunk>())?.cast::<Chunk>();
            // SAFETY: a fresh mapping is zeroed, which is a chunk of free slots; nobody else has seen it.
            let link = unsafe { fresh.as_ref() };
            link.next.store(first, Ordering::Relaxed);
            // Release pairs with the Acquire in `slots`.
            match self.first.compare_exchange(
                first,
                fresh.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.mapped.fetch_add(size_of::<Chunk>(), Ordering::Relaxed);
                }
                Err(_) => pages::unmap(fresh.cast(), size_of::<Chunk>()),
            }
        }
    }

    /// Plain loops: without optimization, iterators take more stack than may be left.
    fn take_of<'c>(mut chunk: *mut Chunk) -> Option<&'c Slot> {
        while !chunk.is_null() {
            // SAFETY: chunks are published whole and never unmapped.
            let this = unsafe { &*chunk };
            for slot in &this.slots {
                let counts = &slot.counts;
                let (free, taken) = (ptr::null_mut(), RESERVED);
                if counts.load(Ordering::Relaxed).is_null()
                    && let Ok(_) =
                        counts.compare_exchange(free, taken, Ordering::Acquire, Ordering::Relaxed)
                {
                    return Some(slot);
                }
            }
            chunk = this.next.load(Ordering::Acquire);
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        let mut chunk = self.first.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: chunks are published whole and never unmapped.
            let this = unsafe { NonNull::new(chunk)?.as_ref() };
            chunk = this.next.load(Ordering::Acquire);
            Some(this.slots.iter())
        })
        .flatten()
    }
}

impl Slot {
    pub(super) fn counts(&self) -> Option<NonNull<Counts>> {
        let counts = self.counts.load(Ordering::Acquire);
        NonNull::new(counts).filter(|counts| counts.as_ptr() != RESERVED)
    }
}
