//! A loaded object as the loader shows it without its lock, and its memory, read inside malloc where the kernel says that
//! it can be.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::memory::is_readable;
use crate::pages::PAGE;
use crate::stack::elf;
use crate::stack::module::{ModuleMark, PINNED, pinned_addresses};

/// What glibc's `_dl_find_object` fills in; the reserved words make it as large as it will ever be.
#[repr(C)]
struct FoundObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: usize,
    eh_frame_header: usize,
    reserved: [u64; 19],
}

type FindObject = unsafe extern "C" fn(*mut c_void, *mut FoundObject) -> c_int;

/// Whether the loader can be asked without its lock.
pub(in crate::stack) fn has_lock_free_look_up() -> bool {
    find_object().is_some()
}

/// The loader's lock-free look-up; None where the C library has none (glibc before 2.35).
///
/// A weak symbol, so that such a library still starts the program: by name it could be looked up outside malloc only.
#[inline]
fn find_object() -> Option<FindObject> {
    let address: usize;
    // SAFETY: loads a word of the global offset table: the symbol's address, 0 if nobody defines it.
    unsafe {
        core::arch::asm!(
            ".weak _dl_find_object",
            "mov {address}, qword ptr [rip + _dl_find_object@GOTPCREL]",
            address = out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    // SAFETY: null is None; else it is the address of `_dl_find_object`, which has this signature.
    unsafe { core::mem::transmute::<usize, Option<FindObject>>(address) }
}

/// Whether objects can be looked up, with their unwind data: not in a static program that is not position-independent.
pub(super) fn can_be_found() -> bool {
    let own = Image::at(can_be_found as fn() -> bool as usize);
    own.is_some_and(|own| own.eh_frame_header != 0)
}

/// A loaded object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    pub(super) start: usize,
    pub(super) end: usize,
    /// In memory; 0 if it has none.
    pub(super) eh_frame_header: usize,
}

impl Image {
    /// The object that holds `pc`. Any address may be asked about; lock-free and made for signal handlers.
    pub(super) fn at(pc: usize) -> Option<Self> {
        let find_object = find_object()?;
        let mut found = MaybeUninit::<FoundObject>::zeroed();
        // SAFETY: any address may be asked about, and `found` has room for what is filled in.
        let answer =
            unsafe { find_object(ptr::with_exposed_provenance_mut(pc), found.as_mut_ptr()) };
        if answer != 0 {
            return None;
        }
        // SAFETY: zeros are valid in all of its fields, and the call above has filled in some.
        let found = unsafe { found.assume_init() };
        Some(Self {
            start: found.map_start,
            end: found.map_end,
            eh_frame_header: found.eh_frame_header,
        })
    }

    pub(super) fn contains(&self, pc: usize) -> bool {
        (self.start..self.end).contains(&pc)
    }
}

/// Where the objects begin that stay loaded as long as the process runs: the program, what this code is in, and what that
/// calls. Each is found once.
#[derive(Debug)]
pub(super) struct Pinned([AtomicUsize; PINNED]);

impl Pinned {
    pub(super) const fn new() -> Self {
        Self([const { AtomicUsize::new(0) }; PINNED])
    }

    pub(super) fn contains(&self, image: &Image) -> bool {
        let [first, ..] = &self.0;
        if first.load(Ordering::Acquire) == 0 {
            self.find();
        }
        self.0
            .iter()
            .any(|start| start.load(Ordering::Relaxed) == image.start)
    }

    /// Threads may do this at once: all find the same.
    #[cold]
    fn find(&self) {
        let find = |(start, address): (&AtomicUsize, usize)| {
            let image = Image::at(address);
            // 1 is the start of nothing.
            start.store(image.map_or(1, |image| image.start), Ordering::Release);
        };
        let [first, rest @ ..] = &self.0;
        let [first_address, addresses @ ..] = pinned_addresses();
        rest.iter().zip(addresses).for_each(find);
        // Last, because it says that all are there.
        find((first, first_address));
    }
}

/// Pages of pinned objects that can be read, for good: asked about once each. A direct-mapped table; 512 bytes, which hold
/// the unwind data of the functions that a program's stacks come through until there are tables.
#[derive(Debug)]
pub(super) struct ReadablePages([AtomicUsize; 64]);

impl ReadablePages {
    pub(super) const fn new() -> Self {
        Self([const { AtomicUsize::new(0) }; 64])
    }

    fn entry(&self, page: usize) -> Option<&AtomicUsize> {
        self.0.get(page / PAGE % self.0.len())
    }
}

/// The memory of an object, which is read where the kernel has said that it can be: whatever its headers say.
///
/// Between the answer and the read, a microsecond at most, another thread can unmap it. That faults if all of this is so: the
/// object is none of those that stay; another thread is in the `dlclose` that unloads it; and an address in it is on this
/// stack though nothing of it is running here, because the frame before was garbage already (hand-written assembly without
/// unwind data, a fibre's first frame). A program that unloads what it is running faults by itself.
///
/// To ask again behind the read is too late, and the loader's counts can be had under its lock only. Of the calls by which the
/// kernel would copy instead, `process_vm_readv` ends a process under common filters (systemd's `@system-service` lacks it),
/// also if it was allowed when it was tried; others need a descriptor, and one that stays open does not stay one's own. The
/// signal mask could carry the bytes: block what they say, ask what is blocked, twice because two signals cannot be. That is
/// 0.7 µs for eight bytes, as against 0.1 µs for a page that is asked about, so some ten times the price of each such frame;
/// and signals of the program would be late.
#[derive(Debug)]
pub(super) struct Bytes<'d> {
    pub(super) image: Image,
    /// Where its memory is. Of a static program the loader says where the text is and no more.
    low: usize,
    high: usize,
    /// For an object that stays.
    pages: Option<&'d ReadablePages>,
    /// Pages that can be read, the last ones asked about.
    known: [usize; 4],
    next: usize,
}

impl<'d> Bytes<'d> {
    pub(super) fn of(image: Image, pages: Option<&'d ReadablePages>) -> Self {
        let (low, high) = match image.contains(image.eh_frame_header) {
            true => (image.start, image.end),
            false => (PAGE, 1 << 47),
        };
        Self {
            image,
            low,
            high,
            pages,
            known: [0; 4],
            next: 0,
        }
    }

    /// `N` bytes at `address`, at most a page.
    #[inline]
    pub(super) fn read<const N: usize>(&mut self, address: usize) -> Option<[u8; N]> {
        let last = address.checked_add(N)?.checked_sub(1)?;
        if !self.can_read_both(address, last) {
            return None;
        }
        let bytes = ptr::with_exposed_provenance::<[u8; N]>(address);
        // SAFETY: in one or two pages that the kernel said can be read; of an object that stays loaded, or whose code is
        // on this stack, or was a moment ago.
        Some(unsafe { bytes.read_volatile() })
    }

    pub(super) fn u32(&mut self, address: usize) -> Option<u32> {
        self.read(address).map(u32::from_ne_bytes)
    }

    /// Whether what lies between two addresses in the same page, or in two that follow each other, can be read.
    #[inline]
    fn can_read_both(&mut self, first: usize, last: usize) -> bool {
        let is_inside = first >= self.low && last < self.high;
        is_inside && self.can_read(first) && self.can_read(last)
    }

    #[inline]
    fn can_read(&mut self, address: usize) -> bool {
        let page = address & !(PAGE - 1);
        self.known.contains(&page) || self.ask(page)
    }

    #[cold]
    fn ask(&mut self, page: usize) -> bool {
        let kept = self.pages.and_then(|pages| pages.entry(page));
        let is_kept = kept.is_some_and(|kept| kept.load(Ordering::Relaxed) == page);
        if !is_kept && !is_readable(page) {
            return false;
        }
        if let Some(kept) = kept {
            kept.store(page, Ordering::Relaxed);
        }
        if let Some(known) = self.known.get_mut(self.next % 4) {
            *known = page;
        }
        self.next = self.next.wrapping_add(1);
        true
    }

    /// The object's mark, by the build id in its memory.
    pub(super) fn mark(&mut self) -> ModuleMark {
        let headers = elf::Headers::read(self.image.start, self);
        headers.map_or(ModuleMark::WITHOUT_ID, |headers| headers.module_mark())
    }
}

impl elf::Memory for Bytes<'_> {
    fn read(&mut self, address: usize, to: &mut [u8]) -> bool {
        let Some(last) = to
            .len()
            .checked_sub(1)
            .map(|len| address.saturating_add(len))
        else {
            return true;
        };
        if !self.can_read_both(address, last) {
            return false;
        }
        let bytes = ptr::with_exposed_provenance::<u8>(address);
        // SAFETY: as in `Bytes::read`; headers and notes are what nobody writes to.
        unsafe { bytes.copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        true
    }
}
