//! Which stack memory a walk may read: what the kernel says is mapped, and nothing else.
//!
//! ```text
//! low addresses                                        high addresses
//!   guard │ … unused … │ sp ▓▓▓▓▓▓▓▓ frames ▓▓▓▓▓▓▓▓ end │
//!                        └─ asked about, page by page ──┘   once per thread, for its own stack
//! ```
//!
//! A thread's own stack stays mapped as long as the thread runs, so what was seen of it is remembered, once a walk has
//! come to its end and so has shown that it is one. Any other stack (a fibre's, a signal handler's) may be gone
//! tomorrow: its pages are asked about in every walk.

use core::arch::asm;
use core::cell::Cell;

use crate::pages::PAGE;

/// The most pages that one walk asks about, 16 MiB of stack: at 0.1 µs a page, 0.4 ms. Frames beyond are left out.
const MAX_PAGES: usize = 4096;

/// The most pages between two frames that are asked about: frames of 1 MiB. An address further away is taken for garbage.
const MAX_GAP: usize = 256;

/// How far below its end a thread's own stack may have its first frame: the C library's block for the thread, and its
/// thread-local variables, lie between. On the initial thread, arguments and environment.
const MAX_HEAD: usize = 64 * 1024;
const MAX_INITIAL_HEAD: usize = 4 << 20;

/// The part of a thread's own stack that is known to be mapped, end included; empty at first.
#[derive(Debug)]
pub(crate) struct OwnStack {
    low: Cell<usize>,
    end: Cell<usize>,
}

/// The memory that a walk may read.
#[derive(Debug)]
pub(super) struct Memory<'t> {
    own: &'t OwnStack,
    /// Known to be mapped, without a gap.
    low: usize,
    end: usize,
    pages_left: usize,
    /// Changes of stack that are left: a bad frame pointer may look like one.
    switches_left: usize,
}

impl OwnStack {
    pub(crate) const fn unknown() -> Self {
        Self {
            low: Cell::new(0),
            end: Cell::new(0),
        }
    }

    /// What is known to be mapped around `sp`.
    fn range(&self, sp: usize) -> (usize, usize) {
        let (low, end) = (self.low.get(), self.end.get());
        if (low..end).contains(&sp) {
            (low, end)
        } else {
            let page = sp & !(PAGE - 1);
            (page, page)
        }
    }
}

/// Whether `bytes` of stack are left below `sp`, the stack pointer of the calling thread. What is known of the thread's own
/// stack is not asked about again; otherwise two or three system calls.
#[inline]
pub(super) fn has_room(own: &OwnStack, sp: usize, bytes: usize) -> bool {
    let lowest = sp.saturating_sub(bytes);
    (own.low.get() <= lowest && sp < own.end.get()) || has_room_slow(own, sp, lowest)
}

#[cold]
#[inline(never)]
fn has_room_slow(own: &OwnStack, sp: usize, lowest: usize) -> bool {
    if let Some(start) = signal_stack() {
        return start <= lowest;
    }
    let page_of = |address: usize| address & !(PAGE - 1);
    if !is_readable(page_of(sp)) {
        // This page is in use, so it is the question that does not work here.
        return true;
    }
    // From above: the initial thread's stack grows when it is read just below its end.
    let mut page = page_of(sp);
    while page > page_of(lowest) {
        page -= PAGE;
        if !is_readable(page) {
            return false;
        }
    }
    if (own.low.get()..own.end.get()).contains(&sp) {
        own.low.set(own.low.get().min(page));
    }
    true
}

/// Where the signal stack begins, if this thread is on it. (Not known if it was installed with `SS_AUTODISARM`.)
fn signal_stack() -> Option<usize> {
    let mut stack = libc::stack_t {
        ss_sp: core::ptr::null_mut(),
        ss_flags: 0,
        ss_size: 0,
    };
    let arguments = [0, (&raw mut stack).expose_provenance(), 0, 0];
    // SAFETY: sets nothing, and fills `stack`.
    let answer = unsafe { system_call(libc::SYS_sigaltstack, arguments) };
    (answer == 0 && stack.ss_flags & libc::SS_ONSTACK != 0).then(|| stack.ss_sp.addr())
}

impl<'t> Memory<'t> {
    pub(super) fn from(own: &'t OwnStack, sp: usize) -> Self {
        let (low, end) = own.range(sp);
        Self {
            own,
            low,
            end,
            pages_left: MAX_PAGES,
            switches_left: 8,
        }
    }

    /// The walk goes on at `sp`, on another stack: the one that a signal handler interrupted, or a fibre's caller's.
    /// False if it has changed too often.
    pub(super) fn switch_to(&mut self, sp: usize) -> bool {
        let Some(left) = self.switches_left.checked_sub(1) else {
            return false;
        };
        self.switches_left = left;
        (self.low, self.end) = self.own.range(sp);
        true
    }

    /// The walk has come to the first function of a stack, whose frame ends at `cfa`: if that stack is this thread's own,
    /// what was read of it is remembered.
    pub(super) fn came_to_root(&self, cfa: usize) {
        if self.end == self.own.end.get() && self.low >= self.own.low.get() {
            return;
        }
        let (end, head) = own_end();
        let is_own = (self.low..=self.end).contains(&cfa) && cfa < end && end - cfa <= head;
        // Up to where it was read: nothing needs what lies above the first frame.
        if is_own && self.end > self.low {
            self.own.low.set(self.low);
            self.own.end.set(self.end);
        }
    }

    /// The word at `address`, if it is aligned and on the stack.
    #[inline(always)]
    pub(super) fn read(&mut self, address: usize) -> Option<usize> {
        let is_known = address >= self.low && address < self.end;
        if !address.is_multiple_of(8) || (!is_known && !self.ask(address)) {
            return None;
        }
        let word = core::ptr::with_exposed_provenance::<usize>(address);
        // SAFETY: aligned, so it does not cross a page; in a page that the kernel has just said is readable, or that
        // belongs to this thread's own stack. Volatile, because it is the memory of other functions' locals.
        Some(unsafe { word.read_volatile() })
    }

    /// Extends the range upwards to the page of `address`, if all between is mapped.
    #[cold]
    fn ask(&mut self, address: usize) -> bool {
        let page = address & !(PAGE - 1);
        let Some(pages) = page.checked_sub(self.end).map(|gap| gap / PAGE + 1) else {
            return false;
        };
        if pages > MAX_GAP || pages > self.pages_left {
            return false;
        }
        for page in (self.end..=page).step_by(PAGE) {
            // Deeper than it was known: from here on it is.
            if page == self.own.low.get() && self.own.end.get() > address {
                self.end = self.own.end.get();
                return true;
            }
            self.pages_left -= 1;
            if !is_readable(page) {
                return false;
            }
            self.end = page + PAGE;
        }
        true
    }
}

/// Whether the page at `address` can be read: the kernel is handed it as a set of signals for a request that it then
/// refuses. It answers EFAULT if it could not read the set, EINVAL for the request if it could. About 0.1 µs; allowed in
/// every sandbox, because every program changes its signal mask.
pub(super) fn is_readable(address: usize) -> bool {
    const KERNEL_SIGSET_BYTES: usize = 8;
    const NO_SUCH_REQUEST: usize = usize::MAX;
    let arguments = [NO_SUCH_REQUEST, address, 0, KERNEL_SIGSET_BYTES];
    // SAFETY: a request that does not exist changes nothing and writes nothing; whatever `address` is, the kernel
    // checks it.
    let answer = unsafe { system_call(libc::SYS_rt_sigprocmask, arguments) };
    answer == -(libc::EINVAL as isize)
}

/// A system call past the C library, which would set `errno`: the program may be looking at it.
///
/// # Safety
/// * The call with these arguments must not harm the program.
unsafe fn system_call(number: libc::c_long, arguments: [usize; 4]) -> isize {
    let [a, b, c, d] = arguments;
    let answer: isize;
    // SAFETY: the kernel's calling convention: it changes rax, rcx and r11 and keeps the rest. The caller vouches for the
    // call itself.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// An address above all frames of the calling thread's own stack, in the same mapping, and how far above.
fn own_end() -> (usize, usize) {
    // Not by `libc::gettid`, which glibc has since 2.30 only.
    // SAFETY: asks the kernel for a number.
    let thread = unsafe { system_call(libc::SYS_gettid, [0; 4]) };
    // SAFETY: as above.
    if thread == unsafe { system_call(libc::SYS_getpid, [0; 4]) } {
        // The initial thread: the kernel puts the path of the program at the end of its stack.
        // SAFETY: looks up a word in the auxiliary vector; no lock, no allocation.
        let end = (unsafe { libc::getauxval(libc::AT_EXECFN) }) as usize;
        (end, MAX_INITIAL_HEAD)
    } else {
        // The C library puts its block for a thread at the end of the stack.
        // SAFETY: returns the block's address, the thread's handle; no lock, no memory.
        let end = (unsafe { libc::pthread_self() }) as usize;
        (end, MAX_HEAD)
    }
}

/// Whether the question about pages works here at all: an emulator may answer yes to everything.
pub(super) fn can_be_asked_about() -> bool {
    let local = 0_u8;
    is_readable((&raw const local).addr() & !(PAGE - 1)) && !is_readable(0)
}

#[cfg(test)]
mod tests;
