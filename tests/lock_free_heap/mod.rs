//! An inner allocator that may be interrupted at every instruction and called again from the handler: without a lock, so
//! that whatever hangs or goes wrong around it is the profiler's doing. It can be given a lock, to show that a test sees
//! what a lock does.
//!
//! ```text
//! class 4     16 B blocks ─┐   each in a mapping of its own, blocks in a row;
//! class 5     32 B blocks  ├─  freed ones on a stack of indices, its head tagged against ABA,
//! …                        │   the links in a mapping beside the blocks
//! class 26  64 MiB blocks ─┘
//! ```
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::alloc::{GlobalAlloc, Layout};
use std::hint;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

const SMALLEST: u32 = 4;
const LARGEST: u32 = 26;
/// Address space of a class.
const CLASS_BYTES: usize = 256 << 20;

#[derive(Debug)]
pub(crate) struct LockFreeHeap {
    classes: [Class; (LARGEST - SMALLEST + 1) as usize],
}

static HAS_LOCK: AtomicBool = AtomicBool::new(false);
static IS_LOCKED: AtomicBool = AtomicBool::new(false);

/// From now on each call takes a lock, as most allocators do. Who is called in a handler that interrupted it, or in a fork
/// child of its moment, waits for ever.
pub(crate) fn take_a_lock() {
    HAS_LOCK.store(true, Ordering::SeqCst);
}

fn locked<R>(work: impl FnOnce() -> R) -> R {
    if !HAS_LOCK.load(Ordering::Relaxed) {
        return work();
    }
    while IS_LOCKED.swap(true, Ordering::Acquire) {
        hint::spin_loop();
    }
    let result = work();
    IS_LOCKED.store(false, Ordering::Release);
    result
}

#[derive(Debug)]
struct Class {
    blocks: AtomicPtr<u8>,
    links: AtomicPtr<AtomicU32>,
    /// Blocks that were ever handed out.
    used: AtomicU32,
    /// Tag in the upper half, 1 + index of the block that was freed last in the lower; 0 if there is none.
    freed: AtomicU64,
}

impl LockFreeHeap {
    pub(crate) const fn new() -> Self {
        Self {
            classes: [const { Class::new() }; (LARGEST - SMALLEST + 1) as usize],
        }
    }

    fn class(&self, layout: Layout) -> Option<(&Class, u32)> {
        let size = layout.size().max(layout.align()).max(1 << SMALLEST);
        let bits = size.checked_next_power_of_two()?.trailing_zeros();
        Some((self.classes.get((bits - SMALLEST) as usize)?, bits))
    }
}

impl Class {
    const fn new() -> Self {
        Self {
            blocks: AtomicPtr::new(ptr::null_mut()),
            links: AtomicPtr::new(ptr::null_mut()),
            used: AtomicU32::new(0),
            freed: AtomicU64::new(0),
        }
    }

    fn take(&self, bits: u32) -> Option<*mut u8> {
        let links = mapping(&self.links, (CLASS_BYTES >> bits) * size_of::<AtomicU32>())?;
        let blocks = mapping(&self.blocks, CLASS_BYTES)?;
        let index = self.pop(links).or_else(|| {
            let index = self.used.fetch_add(1, Ordering::Relaxed);
            ((index as usize) < CLASS_BYTES >> bits).then_some(index)
        })?;
        Some(blocks.wrapping_add((index as usize) << bits))
    }

    fn pop(&self, links: *mut AtomicU32) -> Option<u32> {
        let mut head = self.freed.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            // SAFETY: an index of a block that was handed out, so one of the mapping's links.
            let next = unsafe { &*links.wrapping_add(index as usize) }.load(Ordering::Relaxed);
            match self.freed.compare_exchange(
                head,
                tagged(head, next),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    fn push(&self, block: *mut u8, bits: u32) {
        let index = (block.addr() - self.blocks.load(Ordering::Acquire).addr()) >> bits;
        let links = self.links.load(Ordering::Acquire);
        let mut head = self.freed.load(Ordering::Acquire);
        loop {
            // SAFETY: as in `pop`.
            unsafe { &*links.wrapping_add(index) }.store(head as u32, Ordering::Relaxed);
            match self.freed.compare_exchange(
                head,
                tagged(head, index as u32 + 1),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

fn tagged(before: u64, low: u32) -> u64 {
    ((before >> 32).wrapping_add(1) << 32) | u64::from(low)
}

fn mapping<T>(place: &AtomicPtr<T>, bytes: usize) -> Option<*mut T> {
    let known = place.load(Ordering::Acquire);
    if !known.is_null() {
        return Some(known);
    }
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nobody's memory.
    let fresh = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if fresh == libc::MAP_FAILED {
        return None;
    }
    match place.compare_exchange(
        ptr::null_mut(),
        fresh.cast(),
        Ordering::AcqRel,
        Ordering::Acquire,
    ) {
        Ok(_) => Some(fresh.cast()),
        Err(first) => {
            // SAFETY: the mapping of above, which nobody has seen.
            unsafe { libc::munmap(fresh, bytes) };
            Some(first)
        }
    }
}

// SAFETY: a block is a power of two in size, at least as large as was asked for, aligned to its size because mappings are
// aligned to pages and no class above a page asks for more, and handed out to one caller until it is freed.
unsafe impl GlobalAlloc for LockFreeHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        locked(|| {
            let (class, bits) = self.class(layout).filter(|_| layout.align() <= 4096)?;
            class.take(bits)
        })
        .unwrap_or(ptr::null_mut())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        locked(|| {
            if let Some((class, bits)) = self.class(layout) {
                class.push(block, bits);
            }
        });
    }
}
