//! Memory of the symbolizer's own, beside the program's heap: files to read, and room for what is decompressed. What it
//! gives back, the system has back; an allocator would keep it, and change its thresholds for the program by it.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;
use std::slice;

use super::ROOM;
use crate::pages;

/// Bytes unmapped at one time. The kernel may hold the lock of the address space meanwhile, and a thread that maps
/// memory waits for it: 4 MiB are about 20 µs.
const UNMAPPED_AT_ONCE: usize = 4 << 20;

/// A private mapping, unmapped when it is dropped.
#[derive(Debug)]
pub(super) struct MemoryMap {
    start: *mut u8,
    len: usize,
}

// SAFETY: it owns its mapping, which is tied to no thread.
unsafe impl Send for MemoryMap {}

impl MemoryMap {
    /// The file's bytes, read by the kernel as they are touched: page cache, no memory of the process.
    ///
    /// A file that is cut short while it is mapped would raise SIGBUS here. The running binary cannot be written to; of a
    /// library that is cut short the process dies anyway; packages of debug information replace files and do not write
    /// into them.
    pub(super) fn of_file(file: &File) -> Option<Self> {
        let len = usize::try_from(file.metadata().ok()?.len()).ok()?;
        Self::new(len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd())
    }

    /// Zeroes that can be written to.
    pub(super) fn zeroed(len: usize) -> Option<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        Self::new(len, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn new(len: usize, protection: c_int, flags: c_int, file: c_int) -> Option<Self> {
        if len == 0 {
            return None;
        }
        // SAFETY: a new mapping at a place that the kernel chooses touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, file, 0) };
        let map = (start != libc::MAP_FAILED).then_some(Self {
            start: start.cast(),
            len,
        })?;
        // A file may be larger than what was asked for before the profile was begun, and near a limit on address space take the
        // last of it: then what it is read with would end the process. Without it its names are absent, and looked for again.
        pages::has_room(ROOM).then_some(map)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped readable with this length until `self` is dropped, and written through `bytes_mut` alone.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }

    /// Of a mapping from `zeroed`; others are not writable.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `zeroed` mapped it writable, and `&mut self` makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for MemoryMap {
    fn drop(&mut self) {
        let mut at = 0;
        while at < self.len {
            let len = UNMAPPED_AT_ONCE.min(self.len - at);
            // SAFETY: this part of the own mapping, to which no reference is left.
            unsafe { libc::munmap(self.start.wrapping_add(at).cast(), len) };
            at += len;
        }
    }
}
