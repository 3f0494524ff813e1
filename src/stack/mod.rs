//! Call stacks, without allocating or locking: one file per way of walking, one signature, chosen here.
//!
//! | walk | for | price |
//! |---|---|---|
//! | `delta`, by tables | whatever has a stack-delta table: everything that was loaded when a profile was last taken | a few ns a frame |
//! | `delta`, in place | until the first tables, libraries loaded since: by their unwind data itself | 0.2 µs a frame |
//! | `unsynchronized` | other platforms | 0.2 µs a frame |

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod delta;
#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
#[path = "no_delta.rs"]
mod delta;
mod elf;
pub(crate) mod loader_lock;
mod module;
mod unsynchronized;

use core::ffi::c_void;
use core::mem::MaybeUninit;

use crate::limits::Limits;
use crate::pages::PAGE;
use crate::record::Busy;

use self::delta::Walk;
pub(crate) use self::delta::{Delta, OwnStack};
pub(crate) use self::elf::{Headers, Memory};
pub(crate) use self::loader_lock::Changes;
pub(crate) use self::module::{ModuleMark, pinned_addresses, places};

/// An address that a call will return to: one past the call instruction, so the call itself is at this − 1. Of a frame that
/// was interrupted, one past the address of the instruction that was next: that may be the first of its function, and the
/// address before it another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct ReturnAddress(pub(crate) usize);

impl ReturnAddress {
    /// Frames as plain words, which compare all at once.
    pub(crate) fn words(frames: &[Self]) -> &[usize] {
        // SAFETY: `ReturnAddress` is `repr(transparent)` over a word, so as many words of the same layout lie there, and
        // they stay borrowed as long as the frames are.
        unsafe { core::slice::from_raw_parts(frames.as_ptr().cast(), frames.len()) }
    }

    /// An address inside the call instruction: what a line table is asked for and what a profile writes.
    pub(crate) fn call(self) -> usize {
        self.0.saturating_sub(1)
    }

    /// The same of the instruction at `pc` that was interrupted.
    pub(crate) fn of_interrupted(pc: usize) -> Self {
        Self(pc.wrapping_add(1))
    }

    /// Whether a program may have code there: not in the first page, nor in the kernel's half, where marks are.
    pub(crate) fn can_be_code(self) -> bool {
        // One compare, in each step of each walk.
        self.0.wrapping_sub(PAGE) < (1 << 63) - PAGE
    }
}

/// One word more in a hash. Addresses differ in their low bits, and the rotate carries what the multiply moved up back
/// down.
#[inline(always)]
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A captured call stack, leaf first.
#[derive(Debug)]
pub(crate) struct Stack {
    /// The first `len` are written; the rest never is, which saves writing 1 KiB for each sample.
    frames: [MaybeUninit<ReturnAddress>; Limits::MAX_DEPTH],
    len: usize,
    /// Of the frames, mixed in as they come: the multiply of each waits beside the walk to the next.
    hash: u64,
    truncated: bool,
}

impl Stack {
    /// That of a sample that was taken where there was no room to walk.
    pub(crate) const NONE: &Stack = &Stack::new();

    pub(crate) const fn new() -> Self {
        Self {
            frames: [const { MaybeUninit::uninit() }; Limits::MAX_DEPTH],
            len: 0,
            hash: 0,
            truncated: false,
        }
    }

    pub(crate) fn clear(&mut self) {
        (self.len, self.hash, self.truncated) = (0, 0, false);
    }

    /// Adds a frame on the root side. False, and marked as truncated, if the stack is full, or if this is no address that
    /// a program's code can have.
    fn push(&mut self, frame: ReturnAddress, depth: usize) -> bool {
        if !frame.can_be_code() {
            self.truncated = true;
            return false;
        }
        self.push_word(frame, depth)
    }

    /// Adds what says which module the next frames are in.
    #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
    fn push_mark(&mut self, mark: ModuleMark, depth: usize) {
        self.push_word(mark.word(), depth);
    }

    #[inline(always)]
    fn push_word(&mut self, frame: ReturnAddress, depth: usize) -> bool {
        match self.frames.get_mut(self.len) {
            Some(slot) if self.len < depth => {
                slot.write(frame);
                self.len += 1;
                self.hash = mix(self.hash, frame.0 as u64);
                true
            }
            _ => {
                self.truncated = true;
                false
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn of(frames: &[usize]) -> Self {
        let mut stack = Self::new();
        for frame in frames {
            stack.push_word(ReturnAddress(*frame), Limits::MAX_DEPTH);
        }
        stack
    }

    pub(crate) fn frames(&self) -> &[ReturnAddress] {
        let written = self.frames.get(..self.len).unwrap_or(&[]);
        // SAFETY: `push` wrote the first `len` slots, one by one.
        unsafe { core::slice::from_raw_parts(written.as_ptr().cast(), written.len()) }
    }

    /// A hash of the frames.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether frames on the root side are missing.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// An address inside the stack frame of the profiler's outermost function. That function and everything it called is
/// left out of a stack: the cut is by place, not by name, so it holds in stripped and in fully inlined builds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnFrame(usize);

impl OwnFrame {
    /// The frame that holds `local`, a local variable of the function that asks.
    #[inline(always)]
    pub(crate) fn of(local: &u8) -> Self {
        Self(core::hint::black_box(core::ptr::from_ref(local)).addr())
    }

    /// Whether the function whose stack pointer is `sp` is that function or one that it called: the stack grows down.
    fn covers(self, sp: usize) -> bool {
        sp <= self.0
    }
}

/// Where a walk begins.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(all(target_arch = "x86_64", target_env = "gnu")),
    expect(dead_code, reason = "nothing walks from there")
)]
enum Start {
    /// Here; the frames that this covers are left out.
    Here(OwnFrame),
    /// At what a signal has interrupted.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint asks threads")
    )]
    Interrupted(Interrupted),
}

/// What the signal whose handler runs has interrupted: the address of the kernel's `ucontext`, the handler's third argument.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(all(target_arch = "x86_64", target_env = "gnu")),
    expect(dead_code, reason = "nothing walks from there")
)]
pub(crate) struct Interrupted(*const c_void);

impl Interrupted {
    /// # Safety
    /// * `context` is what the kernel has passed to the handler of a signal.
    /// * It is used by that handler's thread, before the handler returns.
    #[cfg(feature = "http")]
    pub(crate) unsafe fn by(context: *const c_void) -> Self {
        Self(context)
    }
}

/// Bytes of stack that a sample with its call stack takes at most, by tables and by `backtrace`, whose first walk binds
/// symbols lazily. `tests/small_stacks_suffice.rs` measures them: 4.6 and 5.6 KB without optimization. With less left the
/// thread would run into its guard page, or out of a signal stack that has none.
const ROOM_FOR_TABLES: usize = 5 * 1024;
/// And by unwind data in place: 9.9 KB without optimization, measured there too. With less left a stack ends at the first
/// frame that has no table; `backtrace` would need less, and is not asked because it trusts what it reads.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
const ROOM_IN_PLACE: usize = 12 * 1024;
const ROOM_FOR_BACKTRACE: usize = 8 * 1024;
/// And of a walk by tables in a signal handler, into a stack that lies elsewhere.
#[cfg(feature = "http")]
const ROOM_IN_HANDLER: usize = 4 * 1024;

/// Whether this thread has the stack left for `capture`. Where it has not, the sample is recorded with `Stack::NONE`.
pub(crate) fn has_room(delta: &Delta, busy: &Busy<'_>) -> bool {
    let has_room = delta.has_room(busy.own_stack(), ROOM_FOR_TABLES);
    if !has_room {
        delta.count_stopped();
    }
    has_room
}

/// Captures the calling thread's stack without the frames that `own_frame` covers, at most `depth` from the leaf, which
/// is then the allocator's caller.
pub(crate) fn capture(
    delta: &Delta,
    own_stack: &OwnStack,
    own_frame: OwnFrame,
    depth: usize,
    stack: &mut Stack,
) {
    let depth = depth.clamp(1, Limits::MAX_DEPTH);
    if delta.walk(own_stack, Start::Here(own_frame), depth, stack) == Walk::NoTables {
        stack.clear();
        if delta.has_room(own_stack, ROOM_FOR_BACKTRACE) {
            unsynchronized::walk(own_frame, depth, stack);
        } else {
            delta.count_stopped();
        }
    }
}

/// Whether `capture_interrupted` can do anything here.
#[cfg(feature = "http")]
pub(crate) fn can_capture_interrupted(delta: &Delta) -> bool {
    delta.is_good() || delta.walks_in_place()
}

/// The stack of what a signal has interrupted, whatever that is: in its handler, at most `depth` from the leaf. Without
/// `backtrace`, which trusts what it reads and may be what was interrupted, and without a thread-local variable, which may have
/// to be allocated. False if there is no way, or no room, to walk.
///
/// The stack must be clear.
#[cfg(feature = "http")]
pub(crate) fn capture_interrupted(
    delta: &Delta,
    interrupted: Interrupted,
    depth: usize,
    stack: &mut Stack,
) -> bool {
    let depth = depth.clamp(1, Limits::MAX_DEPTH);
    let own_stack = OwnStack::unknown();
    let start = Start::Interrupted(interrupted);
    let is_walked = delta.has_room(&own_stack, ROOM_IN_HANDLER)
        && delta.walk(&own_stack, start, depth, stack) == Walk::Done;
    if !is_walked {
        stack.clear();
        delta.count_stopped();
    }
    is_walked
}

/// Whether unwind data may be looked up by libgcc: without `_dl_find_object` it waits for the loader's lock, which in a fork
/// child may be held by a thread that does not exist there.
pub(crate) fn may_look_up() -> bool {
    delta::has_lock_free_look_up() || loader_lock::may_wait()
}

/// The way of walking that is in use.
pub(crate) fn walker(delta: &Delta) -> &'static str {
    if delta.is_good() {
        "stack-delta tables"
    } else if delta.walks_in_place() {
        "unwind data, until there are tables"
    } else {
        "backtrace"
    }
}
