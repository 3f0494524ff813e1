//! A loaded object as the loader shows it without its lock, and its memory, read inside malloc where the kernel says that
//! it can be.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::memory::is_readable;
use crate::pages::PAGE;
use crate::stack::module::ModuleMark;

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
pub(super) struct Pinned([AtomicUsize; ADDRESSES]);

const ADDRESSES: usize = 5;

/// Addresses in objects that are never unloaded while this code runs.
pub(crate) fn pinned_addresses() -> [usize; ADDRESSES] {
    unsafe extern "C" {
        fn _Unwind_Backtrace(trace: *const c_void, with: *mut c_void) -> c_int;
    }
    // SAFETY: looks up words in the auxiliary vector.
    let auxiliary = |kind| unsafe { libc::getauxval(kind) } as usize;
    [
        auxiliary(libc::AT_ENTRY),
        auxiliary(libc::AT_BASE),
        pinned_addresses as fn() -> [usize; ADDRESSES] as usize,
        libc::pthread_self as unsafe extern "C" fn() -> libc::pthread_t as usize,
        _Unwind_Backtrace as unsafe extern "C" fn(*const c_void, *mut c_void) -> c_int as usize,
    ]
}

impl Pinned {
    pub(super) const fn new() -> Self {
        Self([const { AtomicUsize::new(0) }; ADDRESSES])
    }

    pub(super) fn contains(&self, image: &Image) -> bool {
        if self.0[0].load(Ordering::Relaxed) == 0 {
            self.find();
        }
        self.0
            .iter()
            .any(|start| start.load(Ordering::Relaxed) == image.start)
    }

    /// Threads may do this at once: all find the same.
    #[cold]
    fn find(&self) {
        // The first last, because it says that all are there.
        for (start, address) in self.0.iter().zip(pinned_addresses()).rev() {
            let image = Image::at(address);
            // 1 is the start of nothing.
            start.store(image.map_or(1, |image| image.start), Ordering::Release);
        }
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
        let is_inside = address >= self.low && last < self.high;
        if !is_inside || !self.can_read(address) || !self.can_read(last) {
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

    pub(super) fn u64(&mut self, address: usize) -> Option<u64> {
        self.read(address).map(u64::from_ne_bytes)
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
        self.build_id_mark().unwrap_or(ModuleMark::WITHOUT_ID)
    }

    fn build_id_mark(&mut self) -> Option<ModuleMark> {
        const HEADER: usize = size_of::<libc::Elf64_Phdr>();
        const GNU: [u8; 4] = *b"GNU\0";
        const NT_GNU_BUILD_ID: u32 = 3;
        let start = self.image.start;
        if self.read::<4>(start)? != *b"\x7fELF" {
            return None;
        }
        let headers = start.checked_add(self.u64(start + 32)? as usize)?;
        let count = u16::from_ne_bytes(self.read(start + 56)?);
        let header = |nth: u16| headers.checked_add(usize::from(nth) * HEADER);
        let mut bias = None;
        for nth in 0..count.min(64) {
            let header = header(nth)?;
            let address = self.u64(header.checked_add(16)?)? as usize;
            match self.u32(header)? {
                // The first one is the lowest.
                libc::PT_LOAD if bias.is_none() => {
                    bias = Some(start.wrapping_sub(address & !(PAGE - 1)));
                }
                libc::PT_NOTE => {
                    let mut at = bias.unwrap_or(start).wrapping_add(address);
                    let end = at.checked_add(self.u64(header.checked_add(40)?)? as usize)?;
                    // A handful of notes; more are none.
                    for _ in 0..16 {
                        if at.checked_add(12)? >= end {
                            break;
                        }
                        let name_len = self.u32(at)? as usize;
                        let len = self.u32(at + 4)? as usize;
                        let kind = self.u32(at + 8)?;
                        let desc = at
                            .checked_add(12)?
                            .checked_add(name_len.checked_next_multiple_of(4)?)?;
                        if kind == NT_GNU_BUILD_ID
                            && name_len == 4
                            && self.read::<4>(at + 12)? == GNU
                        {
                            return self.mark_of(desc, len.min(MAX_BUILD_ID));
                        }
                        at = desc.checked_add(len.checked_next_multiple_of(4)?)?;
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn mark_of(&mut self, id: usize, len: usize) -> Option<ModuleMark> {
        let mut all = [0_u8; MAX_BUILD_ID];
        let all = all.get_mut(..len)?;
        for (nth, byte) in all.iter_mut().enumerate() {
            [*byte] = self.read(id.checked_add(nth)?)?;
        }
        Some(ModuleMark::of_build_id(all.iter().copied()))
    }
}

/// Longest build id that is looked at, as in `profile/mappings.rs`.
const MAX_BUILD_ID: usize = 64;
