//! Random numbers for the gaps: one stream per thread, different between threads, processes and fork children.

use core::cell::Cell;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::stack::mix;

/// SplitMix64: one add and three multiply-shift steps, equidistributed over 64 bits, and good from any seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1], in steps of 2^−53.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

/// A thread's stream, seeded at first use.
#[derive(Debug)]
pub(crate) struct Random {
    state: Cell<u64>,
    /// The process generation that it was seeded in; 0 is unseeded.
    seeded_in: Cell<u64>,
    /// Which of the seeds given out it got last.
    number: Cell<u64>,
}

impl Random {
    pub(crate) const fn unseeded() -> Self {
        Self {
            state: Cell::new(0),
            seeded_in: Cell::new(0),
            number: Cell::new(0),
        }
    }

    #[cfg(all(test, loom))]
    pub(crate) fn set_number(&self, number: u64) {
        self.number.set(number);
    }

    /// The thread's number among those that have drawn a gap, 0 if it has not.
    pub(crate) fn number(&self) -> u64 {
        self.number.get()
    }

    /// Uniform in (0, 1].
    pub(crate) fn uniform(&self, seeds: &Seeds) -> f64 {
        let process = seeds.process();
        if self.seeded_in.get() != process {
            self.seeded_in.set(process);
            let (number, seed) = seeds.next();
            self.number.set(number);
            self.state.set(seed);
        }
        let mut stream = SplitMix::new(self.state.get());
        let uniform = stream.uniform();
        self.state.set(stream.0);
        uniform
    }
}

/// Where threads get their seeds, and how a fork child is told from its parent.
#[derive(Debug)]
pub(crate) struct Seeds {
    /// Seeds given out so far: two threads never share one.
    given: AtomicU64,
    /// A page that the kernel clears in a fork child. The word in it is this process's generation, 0 in a new child.
    /// Null until the first use, `NO_PAGE` where the kernel cannot do it: children then draw as their parent does.
    page: AtomicPtr<AtomicU64>,
}

/// Stands for the page on kernels before 4.14; never dereferenced.
const NO_PAGE: *mut AtomicU64 = core::ptr::without_provenance_mut(align_of::<AtomicU64>());

impl Seeds {
    pub(crate) const fn new() -> Self {
        Self {
            given: AtomicU64::new(0),
            page: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// A number that no other thread has, and a seed.
    fn next(&self) -> (u64, u64) {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        (number, SplitMix::new(number ^ entropy()).next())
    }

    /// A number above 0 that differs between a process and its fork children, as far as can be known: both the page and the
    /// process's number must be as the parent's for the two to be taken for one. A child that is process 1 of a namespace, as
    /// its parent is of another, differs by the page; where the kernel does not know such pages, or an emulator says that it
    /// does, by the number. One system call.
    pub(super) fn identity(&self) -> u64 {
        // SAFETY: getpid has no preconditions.
        let number = unsafe { libc::getpid() } as u64;
        mix(self.process(), number) | 1
    }

    /// A number above 0 that differs between a process and its fork children, where the kernel knows pages that are wiped in
    /// these. No system call.
    pub(super) fn process(&self) -> u64 {
        let mut page = self.page.load(Ordering::Acquire);
        if page.is_null() {
            page = wiped_on_fork().unwrap_or(NO_PAGE);
            // Pairs with the Acquire load above: whoever sees the pointer sees a mapped page.
            if let Err(first) = self.page.compare_exchange(
                core::ptr::null_mut(),
                page,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                // Another thread was first; this page, if any, is one page lost for the life of the process.
                page = first;
            }
        }
        if page == NO_PAGE {
            return 1;
        }
        // SAFETY: `page` is a private mapping of at least 8 aligned bytes, zero at first, that is never unmapped.
        let generation = unsafe { &*page };
        match generation.load(Ordering::Relaxed) {
            0 => {
                // The counter of seeds is copied by fork, so it counts processes along one line of descent; siblings
                // differ by what `entropy` adds.
                let fresh = entropy() | 1;
                match generation.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => fresh,
                    Err(first) => first,
                }
            }
            seen => seen,
        }
    }
}

fn wiped_on_fork() -> Option<*mut AtomicU64> {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let size = usize::try_from(size).ok()?;
    let page = crate::pages::map(size)?;
    // SAFETY: the range is a mapping of our own.
    let wiped = unsafe { libc::madvise(page.as_ptr().cast(), size, libc::MADV_WIPEONFORK) } == 0;
    if wiped {
        return Some(page.as_ptr().cast());
    }
    crate::pages::unmap(page, size);
    None
}

/// Bits that differ between processes and moments: the kernel's random bytes of this exec, the process id, the clock.
fn entropy() -> u64 {
    // SAFETY: getpid has no preconditions.
    let pid = unsafe { libc::getpid() } as u64;
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let mut mixed =
        SplitMix::new(exec_random() ^ pid.rotate_left(32) ^ (now.tv_sec as u64).rotate_left(44));
    mixed.next() ^ SplitMix::new(now.tv_nsec as u64).next()
}

fn exec_random() -> u64 {
    // SAFETY: getauxval has no preconditions.
    let bytes = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const u64;
    if bytes.is_null() {
        return 0;
    }
    // SAFETY: AT_RANDOM points at 16 random bytes that live as long as the process.
    unsafe { bytes.read_unaligned() }
}

#[cfg(test)]
mod tests;
