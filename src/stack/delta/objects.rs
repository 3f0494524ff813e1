//! What the loader has loaded, with a copy of its unwind data.
//!
//! The loader's lock is held for microseconds, while addresses are noted: a fork meanwhile leaves it locked in the child
//! for ever, and whatever unwinds by it waits. The data is read afterwards, through `/proc/self/mem`, which answers with an
//! error where an object has gone or its file has been cut short.

use core::ffi::{c_int, c_void};
use core::slice;
use std::fs::File;
use std::os::unix::fs::FileExt;

use gimli::{BaseAddresses, EhFrameHdr, NativeEndian, Pointer};

use crate::pages::PageVec;
use crate::stack::elf;
use crate::stack::loader_lock::Changes;
use crate::stack::module::ModuleMark;

/// A loaded object. Addresses are as its own headers have them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    /// Address in memory minus address in the headers.
    pub(super) bias: usize,
    /// Its executable segments, from the first to the end of the last.
    pub(super) text: usize,
    pub(super) text_end: usize,
    /// Where its `.eh_frame` begins, and the segment that it lies in ends; both 0 if it has none.
    pub(super) eh_frame: usize,
    pub(super) eh_frame_end: usize,
    /// The program's `main`, if this is the program. Where panics abort it may have no unwind data, and yet it is where
    /// the stacks of the initial thread end.
    pub(super) main: Option<usize>,
    /// None if it is never unloaded.
    pub(super) mark: Option<ModuleMark>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) changes: Changes,
    pub(super) list: PageVec<Object>,
}

impl Objects {
    pub(super) fn read() -> Self {
        let mut objects = Self {
            changes: Changes::default(),
            list: PageVec::new(),
        };
        // SAFETY: `visit` has the signature that is called for, and `objects` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut objects).cast()) };
        objects
    }
}

/// Reads the unwind data of objects.
#[derive(Debug)]
pub(super) struct Reader(Option<File>);

impl Reader {
    pub(super) fn new() -> Self {
        Self(File::open("/proc/self/mem").ok())
    }

    /// A copy of an object's `.eh_frame`; empty if it has none, or has gone.
    pub(super) fn unwind(&self, object: &Object) -> PageVec<u8> {
        let len = object.eh_frame_end.saturating_sub(object.eh_frame);
        let mut copy = PageVec::zeroed(len).unwrap_or_else(PageVec::new);
        let address = object.bias.wrapping_add(object.eh_frame) as u64;
        let bytes = copy.as_mut_slice();
        let file = self.0.as_ref();
        let is_read = file.is_some_and(|file| file.read_exact_at(bytes, address).is_ok());
        copy.truncate(if is_read {
            entries_len(copy.as_slice())
        } else {
            0
        });
        copy
    }
}

/// Called by the loader for each object, its lock held, so that the object stays: must not allocate from the program's
/// heap, whose allocator may want that lock, and must not take long.
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    objects: *mut c_void,
) -> c_int {
    // SAFETY: `Objects::read` passes its local, which nobody else uses during the call.
    let objects = unsafe { &mut *objects.cast::<Objects>() };
    // SAFETY: the loader passes a valid entry.
    let info = unsafe { &*info };
    objects.changes = Changes::of(info);
    // An object that there is no memory for is one without a table.
    let _ = note(info, objects);
    0
}

fn note(info: &libc::dl_phdr_info, objects: &mut Objects) -> Option<()> {
    if info.dlpi_phdr.is_null() {
        return None;
    }
    // SAFETY: the loader's table of this object's headers, valid during the callback.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let bias = info.dlpi_addr as usize;
    let loaded = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD;
    let span = |header: &libc::Elf64_Phdr| {
        let start = header.p_vaddr as usize;
        (start, start.saturating_add(header.p_memsz as usize))
    };
    let texts = || {
        let is_text = |header: &&libc::Elf64_Phdr| header.p_flags & libc::PF_X != 0;
        headers.iter().filter(loaded).filter(is_text).map(span)
    };
    let text = texts().map(|(start, _)| start).min()?;
    let text_end = texts().map(|(_, end)| end).max()?;
    // Readable bytes in memory from a header's address to the end of its segment.
    let bytes_from = |address: usize| {
        let mut segments = headers.iter().filter(loaded);
        let segment = segments.find(|segment| {
            let (start, end) = (
                segment.p_vaddr as usize,
                segment.p_vaddr.saturating_add(segment.p_filesz) as usize,
            );
            segment.p_flags & libc::PF_R != 0 && (start..end).contains(&address)
        })?;
        let len =
            (segment.p_vaddr.saturating_add(segment.p_filesz) as usize).checked_sub(address)?;
        let start = core::ptr::with_exposed_provenance(bias.wrapping_add(address));
        // SAFETY: a part of a segment that the loader has mapped readable and whose object cannot go while the loader's
        // lock is held; compilers and linkers put data here that nobody writes to.
        Some(unsafe { slice::from_raw_parts::<u8>(start, len) })
    };
    let eh_frame = headers
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_EH_FRAME)
        .and_then(|header| eh_frame_address(header.p_vaddr, bytes_from(header.p_vaddr as usize)?));
    let eh_frame = eh_frame.and_then(|start| Some((start, start + bytes_from(start)?.len())));
    let (eh_frame, eh_frame_end) = eh_frame.unwrap_or((0, 0));
    // SAFETY: looks up a word in the auxiliary vector.
    let entry = (unsafe { libc::getauxval(libc::AT_ENTRY) }) as usize;
    let entry = entry.wrapping_sub(bias);
    let is_program = (text..text_end).contains(&entry);
    // SAFETY: `visit` passes what the loader has passed to it, and has not returned.
    let mark = unsafe { elf::Headers::of_loaded(info) }
        .map_or(Some(ModuleMark::WITHOUT_ID), |it| it.mark());
    let object = Object {
        bias,
        mark,
        main: is_program
            .then(|| main_from(entry, bytes_from(entry)?))
            .flatten(),
        text,
        text_end,
        eh_frame,
        eh_frame_end,
    };
    objects.list.push(object).then_some(())
}

/// Where `main` lies, from the code at the program's entry: it hands its address to the C library as first argument.
pub(super) fn main_from(entry: usize, code: &[u8]) -> Option<usize> {
    // What comes before are a few instructions on the stack pointer.
    let code = code.get(..48)?;
    let operand = |at: usize| {
        let bytes = code.get(at + 3..)?.first_chunk::<4>()?;
        Some(i32::from_le_bytes(*bytes) as isize)
    };
    code.windows(3)
        .enumerate()
        .find_map(|(at, instruction)| match instruction {
            // lea rdi, [rip + main]
            [0x48, 0x8d, 0x3d] => {
                Some(entry.wrapping_add(at + 7).wrapping_add_signed(operand(at)?))
            }
            // mov rdi, main
            [0x48, 0xc7, 0xc7] => Some(operand(at)? as usize),
            _ => None,
        })
}

/// Where the search table in `header` says that `.eh_frame` lies.
fn eh_frame_address(at: u64, header: &[u8]) -> Option<usize> {
    let bases = BaseAddresses::default().set_eh_frame_hdr(at);
    let header = EhFrameHdr::new(header, NativeEndian)
        .parse(&bases, 8)
        .ok()?;
    match header.eh_frame_ptr() {
        Pointer::Direct(address) => usize::try_from(address).ok(),
        Pointer::Indirect(_) => None,
    }
}

/// Bytes of the entries that `data`, an `.eh_frame`, begins with: up to the entry of length 0 that ends it.
fn entries_len(data: &[u8]) -> usize {
    let lens = lens(data);
    lens.last().map_or(0, |(at, len)| at + len)
}

/// Where the entries of an `.eh_frame` begin.
pub(super) fn entries(data: &[u8]) -> impl Iterator<Item = usize> {
    lens(data).map(|(at, _)| at)
}

/// Where each entry begins and how long it is, up to the terminator or to whatever is broken.
fn lens(data: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0_usize;
    core::iter::from_fn(move || {
        let word = data.get(at..)?.first_chunk::<4>()?;
        let len = match u32::from_ne_bytes(*word) {
            0 => return None,
            // The 64-bit form.
            u32::MAX => {
                let long = data.get(at + 4..)?.first_chunk::<8>()?;
                (u64::from_ne_bytes(*long) as usize).checked_add(12)?
            }
            len => 4 + len as usize,
        };
        let next = at.checked_add(len).filter(|next| *next <= data.len())?;
        Some((core::mem::replace(&mut at, next), len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_and_its_libraries_are_there_with_their_unwind_data() {
        let objects = Objects::read();
        assert_eq!(objects.changes, Changes::read());
        let here = entries_len as fn(&[u8]) -> usize as usize;
        let is_here = |object: &&Object| {
            (object.bias + object.text..object.bias + object.text_end).contains(&here)
        };
        let program = objects.list.as_slice().iter().find(is_here).unwrap();
        assert!(Reader::new().unwind(program).as_slice().len() > 1000);
        assert!(objects.list.as_slice().len() > 1, "the C library too");
    }

    #[test]
    fn main_is_found_in_the_code_at_the_entry() {
        let objects = Objects::read();
        let found: Vec<&Object> = objects
            .list
            .as_slice()
            .iter()
            .filter(|object| object.main.is_some())
            .collect();
        let [program] = found[..] else {
            panic!("one program")
        };
        // Declared in Rust it would be a second `main` where the compiler puts this function beside the program's.
        let main: usize;
        // SAFETY: an address is computed, and nothing else is done.
        unsafe {
            core::arch::asm!("lea {}, [rip + main]", out(reg) main, options(nomem, nostack, preserves_flags))
        };
        assert_eq!(program.main.map(|at| at + program.bias), Some(main));
        assert_eq!(main_from(0, &[0x90; 48]), None);
        assert_eq!(main_from(0, &[0x48, 0x8d, 0x3d]), None);
    }

    #[test]
    fn entries_end_at_the_terminator_and_at_whatever_is_broken() {
        let entry = |len: u32| [&len.to_ne_bytes()[..], &vec![1; len as usize]].concat();
        let two = [entry(12), entry(20)].concat();
        assert_eq!(
            entries_len(&[&two[..], &[0; 4], &entry(8)].concat()),
            two.len()
        );
        assert_eq!(entries_len(&two), two.len());
        assert_eq!(entries_len(&two[..two.len() - 1]), 16);
        assert_eq!(entries_len(&[0xff; 64]), 0);
        assert_eq!(entries_len(&[]), 0);
    }
}
