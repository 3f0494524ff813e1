//! An inner allocator that takes the stack of each allocation with `backtrace`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub struct Witness;

/// Words of room: stacks one after the other, each behind its length.
const ROOM: usize = 1 << 22;
static STACKS: [AtomicUsize; ROOM] = [const { AtomicUsize::new(0) }; ROOM];
static USED: AtomicUsize = AtomicUsize::new(0);
static RECORDS: AtomicBool = AtomicBool::new(false);

pub fn start() {
    RECORDS.store(true, Ordering::SeqCst);
}

pub fn stop() {
    RECORDS.store(false, Ordering::SeqCst);
}

/// All that were taken.
pub fn stacks() -> impl Iterator<Item = &'static [usize]> {
    let used = USED.load(Ordering::SeqCst);
    assert!(used <= ROOM, "more stacks than there is room for");
    // SAFETY: atomics have the layout of their integers, and nothing is recorded any more.
    let words = unsafe { slice::from_raw_parts(STACKS.as_ptr().cast::<usize>(), used) };
    let mut rest = words;
    std::iter::from_fn(move || {
        let (len, behind) = rest.split_first()?;
        let (stack, next) = behind.split_at(*len);
        rest = next;
        Some(stack)
    })
}

/// Whether a signal handler returns there.
fn is_return_from_signal(code: *const u8) -> bool {
    // mov rax, 15; syscall
    let wanted = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    // SAFETY: code that a call returns to; as far as it is the wanted code, more of that follows.
    let mut here = (0..wanted.len()).map(|nth| unsafe { code.add(nth).read() });
    wanted.iter().all(|byte| here.next() == Some(*byte))
}

#[inline(never)]
fn record() {
    if !RECORDS.load(Ordering::Relaxed) {
        return;
    }
    let (mut frames, mut len) = ([0; 128], 0);
    // The profiler has one past the instruction that a signal interrupted, `backtrace` the instruction.
    let mut is_interrupted = false;
    // SAFETY: the platform's unwinder has no state that a second thread could disturb.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let has_room = frame.ip() as usize != 0 && len < frames.len();
            if has_room {
                frames[len] = frame.ip() as usize + usize::from(is_interrupted);
                len += 1;
                is_interrupted = is_return_from_signal(frame.ip().cast());
            }
            has_room
        });
    }
    // Up to and including this function, whatever `backtrace` has of its own: the first frames of the walk.
    let at = USED.fetch_add(len + 1, Ordering::SeqCst);
    let words = std::iter::once(len).chain(frames[..len].iter().copied());
    for (slot, word) in STACKS[at..].iter().zip(words) {
        slot.store(word, Ordering::Relaxed);
    }
}

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Witness {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record();
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record();
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        record();
        // SAFETY: the caller's.
        unsafe { System.realloc(block, layout, size) }
    }
}
