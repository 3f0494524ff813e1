//! Which stack memory a walk may read: what is known to be mapped, and nothing else.
//!
//! ```text
//! low addresses                                        high addresses
//!   guard │ … unused … │ sp ▓▓▓▓▓▓▓▓ frames ▓▓▓▓▓▓▓▓ end │
//!                        └────── seen mapped, page by page ┘   once per thread, for its own stack
//! ```
//!
//! A thread's own stack stays mapped as long as the thread runs, so what was seen once is remembered. Any other stack
//! (a fibre's, a signal handler's) may be gone tomorrow: its pages are asked about in every walk.

use core::arch::asm;
use core::cell::Cell;

/// The unit in which memory is mapped, at least.
const PAGE: usize = 4096;

/// The most pages that one walk asks about, 16 MiB of stack: at 0.1 µs a page, 0.4 ms, once. A stack that is deeper
/// is walked page by page each time, as a foreign one.
const MAX_PAGES: usize = 4096;

/// The most pages between two frames of a foreign stack that are asked about: frames of a quarter of a MiB.
const MAX_GAP: usize = 64;

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
    low: usize,
    end: usize,
    pages_left: usize,
}

impl OwnStack {
    pub(crate) const fn unknown() -> Self {
        Self {
            low: Cell::new(0),
            end: Cell::new(0),
        }
    }

    /// The range to read when walking from `sp`: this thread's own stack if `sp` is on it, else nothing yet.
    fn range(&self, sp: usize) -> (usize, usize) {
        let (low, end) = (self.low.get(), self.end.get());
        if (low..end).contains(&sp) {
            return (low, end);
        }
        let page = sp & !(PAGE - 1);
        let limit = MAX_PAGES * PAGE;
        // Deeper than before: only what lies between is new. Else the stack's end is not known yet.
        let (known, end) = if end > 0 {
            (low, end)
        } else {
            let end = own_end();
            (end, end)
        };
        if sp >= known || known - page > limit || !is_mapped(page, known) {
            return (sp, sp);
        }
        self.low.set(page);
        self.end.set(end);
        (page, end)
    }
}

impl<'t> Memory<'t> {
    pub(super) fn from(own: &'t OwnStack, sp: usize) -> Self {
        let (low, end) = own.range(sp);
        Self {
            own,
            low,
            end,
            pages_left: MAX_PAGES,
        }
    }

    /// The walk goes on at `sp`, on another stack: below a signal handler's.
    pub(super) fn switch_to(&mut self, sp: usize) {
        (self.low, self.end) = self.own.range(sp);
    }

    /// The word at `address`, if it is aligned and on the stack.
    #[inline(always)]
    pub(super) fn read(&mut self, address: usize) -> Option<usize> {
        let is_known =
            address >= self.low && address.wrapping_add(8) <= self.end && address < self.end;
        if !address.is_multiple_of(8) || (!is_known && !self.ask(address)) {
            return None;
        }
        let word = core::ptr::with_exposed_provenance::<usize>(address);
        // SAFETY: aligned; inside a range of pages that the kernel has just said are readable, or that belong to this
        // thread's own stack. Volatile, because it is the memory of other functions' locals.
        Some(unsafe { word.read_volatile() })
    }

    /// Extends the range upwards to the page of `address`, if all between is mapped.
    #[cold]
    fn ask(&mut self, address: usize) -> bool {
        let first = if self.end > self.low {
            self.end & !(PAGE - 1)
        } else {
            address & !(PAGE - 1)
        };
        let Some(end) = (address & !(PAGE - 1)).checked_add(PAGE) else {
            return false;
        };
        if address < self.low || first >= end {
            return false;
        }
        let pages = (end - first) / PAGE;
        if pages > MAX_GAP || pages > self.pages_left || !is_mapped(first, end) {
            return false;
        }
        self.pages_left -= pages;
        if self.end == self.low {
            self.low = first;
        }
        self.end = end;
        true
    }
}

/// Whether every page from `low`, a page's start, up to `end` can be read. About 0.3 µs; leaves `errno` alone.
fn is_mapped(low: usize, end: usize) -> bool {
    const MADV_POPULATE_READ: usize = 22;
    // Brings pages in as reading them would, and says whether that would work. Since Linux 5.14; before it, and if a page
    // may not be read, each is asked about.
    let pages = (end - low).next_multiple_of(PAGE);
    // SAFETY: changes nothing that the program can see, and the kernel checks the range.
    let answer = unsafe { system_call(libc::SYS_madvise, [low, pages, MADV_POPULATE_READ, 0]) };
    answer == 0 || (answer == -EINVAL && (low..end).step_by(PAGE).all(is_readable))
}

/// Whether the page at `address` can be read: the kernel is handed it as a set of signals for a request that it then
/// refuses. It answers EFAULT if it could not read the set, EINVAL for the request if it could. About 0.1 µs; allowed in
/// every sandbox, because every program changes its signal mask.
fn is_readable(address: usize) -> bool {
    const KERNEL_SIGSET_BYTES: usize = 8;
    const NO_SUCH_REQUEST: usize = usize::MAX;
    let arguments = [NO_SUCH_REQUEST, address, 0, KERNEL_SIGSET_BYTES];
    // SAFETY: a request that does not exist changes nothing and writes nothing; whatever `address` is, the kernel
    // checks it.
    let answer = unsafe { system_call(libc::SYS_rt_sigprocmask, arguments) };
    answer == -EINVAL
}

const EINVAL: isize = libc::EINVAL as isize;

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

/// An address above all frames of the calling thread's own stack, in the same mapping.
fn own_end() -> usize {
    // SAFETY: asks the kernel for a number.
    let thread = unsafe { libc::gettid() };
    // SAFETY: as above.
    if thread == unsafe { libc::getpid() } {
        // The initial thread: the kernel puts the path of the program at the end of its stack.
        // SAFETY: looks up a word in the auxiliary vector; no lock, no allocation.
        (unsafe { libc::getauxval(libc::AT_EXECFN) }) as usize
    } else {
        // The C library puts its block for a thread at the end of the stack.
        // SAFETY: returns the block's address, the thread's handle; no lock, no memory.
        (unsafe { libc::pthread_self() }) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_unmapped_pages_are_told_apart() {
        let pages = crate::pages::map(3 * PAGE).unwrap();
        let start = pages.as_ptr().addr();
        // SAFETY: within the mapping above.
        let middle = unsafe { pages.add(PAGE) };
        // SAFETY: one page of that mapping, which nobody uses.
        unsafe { libc::mprotect(middle.as_ptr().cast(), PAGE, libc::PROT_NONE) };
        assert!(is_readable(start) && is_readable(start + 2 * PAGE));
        assert!(!is_readable(start + PAGE) && !is_mapped(start, start + 3 * PAGE));
        crate::pages::unmap(pages, 3 * PAGE);
        assert!(!is_readable(start) && !is_readable(0) && !is_readable(usize::MAX & !7));
    }

    #[test]
    fn a_threads_own_stack_is_known_after_one_look_and_nothing_else_is() {
        let look = || {
            let own = OwnStack::unknown();
            let local = 7_usize;
            let sp = (&raw const local).addr();
            assert_eq!(Memory::from(&own, sp).read(sp), Some(7));
            assert!((own.low.get()..own.end.get()).contains(&sp));
            let heap = Box::new(9_usize);
            let elsewhere = (&raw const *heap).addr();
            // From the stack the heap is out of bounds; from the heap, as a fibre's stack, it can be read.
            assert_eq!(Memory::from(&own, sp).read(elsewhere), None);
            assert_eq!(Memory::from(&own, elsewhere).read(elsewhere), Some(9));
            assert_eq!(Memory::from(&own, sp).read(sp + 1), None, "not aligned");
            assert_eq!(Memory::from(&own, sp).read(0), None);
        };
        std::thread::spawn(look).join().unwrap();
        std::thread::Builder::new()
            .stack_size(16 * 1024)
            .spawn(look)
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn a_foreign_stack_is_read_up_to_its_end() {
        let pages = crate::pages::map(4 * PAGE).unwrap();
        let start = pages.as_ptr().addr();
        // SAFETY: within the mapping above.
        let last = unsafe { pages.add(3 * PAGE) };
        // SAFETY: one page of that mapping, which nobody uses.
        unsafe { libc::mprotect(last.as_ptr().cast(), PAGE, libc::PROT_NONE) };
        let own = OwnStack::unknown();
        let mut memory = Memory::from(&own, start + 8);
        assert_eq!(memory.read(start + 8), Some(0));
        assert_eq!(memory.read(start + 3 * PAGE - 8), Some(0), "over a gap");
        assert_eq!(memory.read(start + 3 * PAGE), None);
        assert_eq!(memory.read(start - 8), None, "a walk goes up");
        assert_eq!((own.low.get(), own.end.get()), (0, 0));
        crate::pages::unmap(pages, 4 * PAGE);
    }
}
