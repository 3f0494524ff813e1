//! Memory of the profiler's own: anonymous pages, past every allocator.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// The unit in which the kernel maps memory on x86-64; a multiple or a divisor of it elsewhere.
pub(crate) const PAGE: usize = 4096;

/// Zeroed pages, or None if the system refuses.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches nobody's memory.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        None
    } else {
        NonNull::new(address.cast())
    }
}

/// Gives back what `map` returned with the same size and that nobody refers to.
pub(crate) fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: all callers pass a whole mapping of `map`'s that was never shared, or whose owner is being dropped, or the
    // end of one that nobody has used.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}

/// Whether the system would give as much now. For work that ends the process if it finds out half-way.
pub(crate) fn has_room(bytes: usize) -> bool {
    // There is no mapping of no bytes.
    let bytes = bytes.max(1);
    let room = map(bytes);
    room.is_some_and(|start| {
        unmap(start, bytes);
        true
    })
}

/// A vector in pages of its own. Large scratch of the profiler must not pass through the host's allocator: glibc, for
/// one, raises the size from which it returns memory to the system each time that a large block is freed.
#[derive(Debug)]
pub(crate) struct PageVec<T: Copy> {
    start: NonNull<T>,
    len: usize,
    /// Bytes mapped at `start`, 0 if nothing is.
    bytes: usize,
    owns: PhantomData<T>,
}

// SAFETY: the mapping is reached through its owner alone, as a vector's buffer is.
unsafe impl<T: Copy + Send> Send for PageVec<T> {}
// SAFETY: as above: shared, it gives out shared references only.
unsafe impl<T: Copy + Sync> Sync for PageVec<T> {}

impl<T: Copy> PageVec<T> {
    pub(crate) const fn new() -> Self {
        Self {
            start: NonNull::dangling(),
            len: 0,
            bytes: 0,
            owns: PhantomData,
        }
    }

    /// Keeps the first `len` elements.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// False if the system has no memory for it.
    #[must_use]
    pub(crate) fn push(&mut self, value: T) -> bool {
        self.extend(&[value])
    }

    /// Appends all of `values`, or nothing if the system has no memory for them.
    #[must_use]
    pub(crate) fn extend(&mut self, values: &[T]) -> bool {
        if !self.reserve(values.len()) {
            return false;
        }
        // SAFETY: `reserve` saw to it that the mapping has room for `len + values.len()` elements.
        let end = unsafe { self.start.add(self.len) };
        // SAFETY: as above; `values` is borrowed, so it does not lie in the room behind this vector's elements.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), end.as_ptr(), values.len()) };
        self.len += values.len();
        true
    }

    /// Makes room for `more` elements; false if the system has no memory for it.
    #[must_use]
    pub(crate) fn reserve(&mut self, more: usize) -> bool {
        let elements = self.len.checked_add(more);
        let needed = elements.and_then(|elements| elements.checked_mul(size_of::<T>()));
        needed.is_some_and(|needed| needed <= self.bytes || self.grow(needed))
    }

    fn grow(&mut self, needed: usize) -> bool {
        const { assert!(align_of::<T>() <= PAGE) };
        let Some(bytes) = needed.checked_next_multiple_of(64 * 1024) else {
            return false;
        };
        let bytes = bytes.max(self.bytes * 2);
        let moved = if self.bytes == 0 {
            map(bytes)
        } else {
            // SAFETY: `start` is a whole mapping of `bytes` bytes; `&mut self`: nobody holds a pointer into it.
            let moved = unsafe {
                libc::mremap(
                    self.start.as_ptr().cast(),
                    self.bytes,
                    bytes,
                    libc::MREMAP_MAYMOVE,
                )
            };
            NonNull::new(moved.cast()).filter(|_| moved != libc::MAP_FAILED)
        };
        let Some(start) = moved else { return false };
        (self.start, self.bytes) = (start.cast(), bytes);
        true
    }

    /// All of `values`. Ends the process, as a `Vec` does, if the system has no memory for them: outside malloc only.
    pub(crate) fn collect(values: impl Iterator<Item = T>) -> Self {
        let all = Self::try_collect(values);
        all.unwrap_or_else(|| std::alloc::handle_alloc_error(Layout::new::<T>()))
    }

    /// All of `values`; None if the system has no memory for them.
    pub(crate) fn try_collect(values: impl Iterator<Item = T>) -> Option<Self> {
        let mut all = Self::new();
        for value in values {
            if !all.push(value) {
                return None;
            }
        }
        Some(all)
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the first `len` elements have been written, by `extend` or as the zeros of fresh pages.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The elements for good, without the room behind them.
    pub(crate) fn leak(self) -> &'static [T] {
        let kept = (self.len * size_of::<T>()).next_multiple_of(PAGE);
        if kept < self.bytes {
            // SAFETY: `kept` is a multiple of the page size within the mapping, and no element lies behind it.
            let rest = unsafe { self.start.cast::<u8>().add(kept) };
            unmap(rest, self.bytes - kept);
        }
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: as in `as_slice`; the mapping has no owner any more.
        unsafe { core::slice::from_raw_parts(this.start.as_ptr(), this.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and `&mut self`.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl PageVec<u8> {
    /// `len` zeros; None if the system has no memory for them.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        let mut zeroed = Self::new();
        if !zeroed.reserve(len) {
            return None;
        }
        // Fresh pages hold zeros, so these elements are written.
        zeroed.len = len;
        Some(zeroed)
    }
}

impl<T: Copy> Clone for PageVec<T> {
    fn clone(&self) -> Self {
        Self::collect(self.as_slice().iter().copied())
    }
}

impl<T: Copy> Drop for PageVec<T> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            unmap(self.start.cast(), self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_vec_holds_what_a_vec_holds() {
        let mut pages = PageVec::new();
        let mut model = Vec::new();
        for nth in 0..200_000_u32 {
            let values = [nth, nth + 1, nth + 2];
            let values = &values[..nth as usize % 4];
            assert!(pages.extend(values));
            model.extend_from_slice(values);
        }
        assert!(pages.push(7));
        model.push(7);
        model.sort_unstable();
        pages.as_mut_slice().sort_unstable();
        assert_eq!(pages.as_slice(), model);
        assert_eq!(pages.clone().as_slice(), model);
        assert_eq!(pages.leak(), model);
        assert_eq!(PageVec::<u64>::new().leak(), []);
        assert_eq!(PageVec::zeroed(3).unwrap().as_slice(), [0; 3]);
        assert!(
            PageVec::zeroed(usize::MAX).is_none(),
            "refused, without overflow"
        );
    }
}
