//! Memory for what is never freed: a lock-free bump allocator over anonymous mappings.

use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use super::busy::Busy;
use super::shared::{AtomicPtr, AtomicUsize, Ordering, map, unmap};

/// Bytes mapped at a time. A step at half the size would map twice as often (2 µs each); at twice the size a service
/// with few stacks, or one that locks its memory, would hold more than it needs.
const CHUNK: usize = 256 * 1024;
/// What every block is aligned to, enough for a `Bucket`.
const ALIGN: usize = 8;

/// A bump allocator. Blocks live as long as the arena.
#[derive(Debug)]
pub(crate) struct Arena {
    /// The chunk that is being filled.
    current: AtomicPtr<Chunk>,
    mapped: AtomicUsize,
}

/// The head of a chunk; the rest of its mapping is handed out from `used` on.
struct Chunk {
    /// Filled earlier; kept so that `drop` finds it.
    previous: *mut Chunk,
    /// Bytes handed out, this head included. Runs past `CHUNK` when the chunk is full.
    used: AtomicUsize,
}

impl Arena {
    pub(crate) const fn new() -> Self {
        Self {
            current: AtomicPtr::new(ptr::null_mut()),
            mapped: AtomicUsize::new(0),
        }
    }

    /// Bytes mapped so far.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }

    /// Zeroed memory of `size` bytes, aligned to 8. None if the system has none, or if `size` is over 64 KiB.
    pub(crate) fn alloc(&self, _busy: &Busy<'_>, size: usize) -> Option<NonNull<MaybeUninit<u8>>> {
        if size > CHUNK / 4 {
            return None;
        }
        let size = size.next_multiple_of(ALIGN);
        loop {
            let current = self.current.load(Ordering::Acquire);
            if let Some(block) = Self::take(current, size) {
                return Some(block);
            }
            let fresh = map(CHUNK)?.cast::<Chunk>();
            // SAFETY: the mapping is `CHUNK` bytes, page-aligned, and nobody else has seen it.
            unsafe {
                fresh.write(Chunk {
                    previous: current,
                    used: AtomicUsize::new(size_of::<Chunk>()),
                })
            };
            // The Release half pairs with the Acquire load above: who sees the chunk sees its head.
            match self.current.compare_exchange(
                current,
                fresh.as_ptr(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.mapped.fetch_add(CHUNK, Ordering::Relaxed);
                }
                // Another thread mapped a chunk at the same time: use that one.
                Err(_) => unmap(fresh.cast(), CHUNK),
            }
        }
    }

    fn take(chunk: *mut Chunk, size: usize) -> Option<NonNull<MaybeUninit<u8>>> {
        let chunk = NonNull::new(chunk)?;
        // SAFETY: chunks are published initialised (`alloc`) and live as long as the arena.
        let head = unsafe { chunk.as_ref() };
        let start = head.used.fetch_add(size, Ordering::Relaxed);
        if start.checked_add(size)? > CHUNK {
            return None;
        }
        // SAFETY: `start + size` is within the chunk's mapping, and the counter hands each byte out once.
        Some(unsafe { chunk.cast::<MaybeUninit<u8>>().byte_add(start) })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let mut chunk = *self.current.get_mut();
        while let Some(this) = NonNull::new(chunk) {
            // SAFETY: `&mut self`: no block borrowed from this arena is in use; the head is initialised.
            chunk = unsafe { this.as_ref() }.previous;
            unmap(this.cast(), CHUNK);
        }
    }
}

#[cfg(test)]
mod tests;
