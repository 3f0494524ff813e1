//! What the headers of a loaded ELF file say, read from memory: the file on disk may have been replaced. Here for all who
//! ask, in malloc and out of it; without allocating.

use super::module::{ModuleMark, pinned_addresses};
use crate::pages::PAGE;

/// What can be read, to whoever reads.
pub(crate) trait Memory {
    /// Fills `to`, at most a page, from `address`; false if not all of it can be read.
    fn read(&mut self, address: usize, to: &mut [u8]) -> bool;
}

/// Longest build id that is kept: SHA-1 has 20 bytes, SHA-256 has 32.
const MAX_BUILD_ID: usize = 64;

/// Bytes of an ELF header, and of an entry of its table of segments.
const FILE_HEADER: usize = 64;
const SEGMENT_HEADER: usize = size_of::<libc::Elf64_Phdr>();

/// Segments, and notes of each, that are looked at; files have a dozen, and a handful.
const MAX_SEGMENTS: usize = 128;
const MAX_NOTES: usize = 16;

/// A GNU build id; empty if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuildId {
    bytes: [u8; MAX_BUILD_ID],
    len: usize,
}

impl BuildId {
    const NONE: Self = Self {
        bytes: [0; MAX_BUILD_ID],
        len: 0,
    };

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The description of the first note with type 3 and owner `GNU` between `at` and `end`.
    fn in_notes(mut at: usize, end: usize, memory: &mut impl Memory) -> Option<Self> {
        const NT_GNU_BUILD_ID: u32 = 3;
        for _ in 0..MAX_NOTES {
            let mut note = [0; 16];
            if at.checked_add(note.len())? > end || !memory.read(at, &mut note) {
                return None;
            }
            let word = |at| bytes(&note, at).map(u32::from_ne_bytes);
            let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
            let name_len = name_len.checked_next_multiple_of(4)?;
            let start = at.checked_add(12)?.checked_add(name_len)?;
            if start.checked_add(len)? > end {
                return None;
            }
            if kind == NT_GNU_BUILD_ID && name_len == 4 && note.ends_with(b"GNU\0") {
                let mut id = Self::NONE;
                id.len = len.min(MAX_BUILD_ID);
                let is_read = memory.read(start, id.bytes.get_mut(..id.len)?);
                return is_read.then_some(id);
            }
            at = start.checked_add(len.checked_next_multiple_of(4)?)?;
        }
        None
    }
}

/// What a file's headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headers {
    /// Address in memory minus address in the file.
    pub(crate) bias: usize,
    /// Of its segments in memory, the start of the first and the end of the last.
    start: usize,
    end: usize,
    pub(crate) build_id: BuildId,
}

impl Headers {
    /// Those of the file whose first byte is at `first`; None if it is no ELF file.
    pub(crate) fn read(first: usize, memory: &mut impl Memory) -> Option<Self> {
        let mut header = [0; FILE_HEADER];
        if !memory.read(first, &mut header) || !header.starts_with(b"\x7fELF\x02") {
            return None;
        }
        let table = first.checked_add(word(&header, 32)?)?;
        let size = u16::from_ne_bytes(bytes(&header, 54)?);
        let count = u16::from_ne_bytes(bytes(&header, 56)?);
        if usize::from(size) != SEGMENT_HEADER {
            return None;
        }
        let segments = Segments {
            table,
            count: usize::from(count).min(MAX_SEGMENTS),
        };
        // The segment with the file's first bytes.
        let mut head = None;
        segments.each(memory, |segment, _| {
            if head.is_none() && segment.is_loaded() && segment.offset < PAGE {
                head = Some(segment.address.wrapping_sub(segment.offset));
            }
        })?;
        segments.headers(first.wrapping_sub(head?), memory)
    }

    /// Those of an object that the loader is asked about.
    ///
    /// # Safety
    /// * The loader has passed `info` to the callback that this is called in: until that returns, the object stays.
    pub(crate) unsafe fn of_loaded(info: &libc::dl_phdr_info) -> Option<Self> {
        struct Loaded;
        impl Memory for Loaded {
            fn read(&mut self, address: usize, to: &mut [u8]) -> bool {
                let from = core::ptr::with_exposed_provenance::<u8>(address);
                // SAFETY: `of_loaded` reads the loader's table of headers, and `headers` what lies in a loaded segment:
                // all of it there during the callback.
                unsafe { from.copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
                true
            }
        }
        if info.dlpi_phdr.is_null() {
            return None;
        }
        let segments = Segments {
            table: info.dlpi_phdr.expose_provenance(),
            count: info.dlpi_phnum.into(),
        };
        segments.headers(info.dlpi_addr as usize, &mut Loaded)
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// What frames in it are marked with; None if it stays as long as the process runs.
    pub(crate) fn mark(&self) -> Option<ModuleMark> {
        let is_pinned = pinned_addresses()
            .iter()
            .any(|address| self.contains(*address));
        (!is_pinned).then(|| self.module_mark())
    }

    /// What frames in it are marked with if it may be unloaded.
    pub(crate) fn module_mark(&self) -> ModuleMark {
        ModuleMark::of_build_id(self.build_id.as_slice(), self.bias)
    }
}

/// A table of segments in memory.
struct Segments {
    table: usize,
    count: usize,
}

impl Segments {
    /// Calls `then` with each, in order; None if one cannot be read.
    fn each<M: Memory>(&self, memory: &mut M, mut then: impl FnMut(Segment, &mut M)) -> Option<()> {
        for nth in 0..self.count {
            let mut header = [0; SEGMENT_HEADER];
            let at = self.table.checked_add(nth * SEGMENT_HEADER)?;
            if !memory.read(at, &mut header) {
                return None;
            }
            then(Segment::parse(&header)?, memory);
        }
        Some(())
    }

    fn headers(&self, bias: usize, memory: &mut impl Memory) -> Option<Headers> {
        let (mut start, mut end) = (usize::MAX, 0);
        self.each(memory, |segment, _| {
            if segment.is_loaded() {
                start = start.min(segment.address);
                end = end.max(segment.end());
            }
        })?;
        let mut build_id = None;
        self.each(memory, |note, memory| {
            if note.kind != libc::PT_NOTE || build_id.is_some() {
                return;
            }
            // What lies in no loaded segment is not in memory.
            let mut is_there = false;
            let read = self.each(memory, |load, _| {
                is_there |= load.is_readable()
                    && load.address <= note.address
                    && note.end() <= load.end_in_file();
            });
            if read.is_some() && is_there {
                let at = bias.wrapping_add(note.address);
                build_id = BuildId::in_notes(at, bias.wrapping_add(note.end()), memory);
            }
        })?;
        (start < end).then_some(Headers {
            bias,
            start: bias.wrapping_add(start),
            end: bias.wrapping_add(end),
            build_id: build_id.unwrap_or(BuildId::NONE),
        })
    }
}

/// An entry of the table of segments.
#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    size_in_file: usize,
    /// In memory.
    size: usize,
}

impl Segment {
    fn parse(header: &[u8]) -> Option<Self> {
        Some(Self {
            kind: u32::from_ne_bytes(bytes(header, 0)?),
            flags: u32::from_ne_bytes(bytes(header, 4)?),
            offset: word(header, 8)?,
            address: word(header, 16)?,
            size_in_file: word(header, 32)?,
            size: word(header, 40)?,
        })
    }

    fn is_loaded(&self) -> bool {
        self.kind == libc::PT_LOAD
    }

    fn is_readable(&self) -> bool {
        self.is_loaded() && self.flags & libc::PF_R != 0
    }

    fn end(&self) -> usize {
        self.address.saturating_add(self.size)
    }

    fn end_in_file(&self) -> usize {
        self.address.saturating_add(self.size_in_file)
    }
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn word(from: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_ne_bytes(bytes(from, at)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Memory for &[u8] {
        fn read(&mut self, address: usize, to: &mut [u8]) -> bool {
            let end = address.saturating_add(to.len());
            let from = self.get(address..end);
            from.map(|from| to.copy_from_slice(from)).is_some()
        }
    }

    #[test]
    fn what_is_no_elf_file_has_no_headers_and_what_is_damaged_does_not_panic() {
        assert_eq!(Headers::read(0, &mut &[0_u8; 8192][..]), None);
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let whole = &whole[..8192];
        assert!(Headers::read(0, &mut { whole }).is_some());
        for len in (0..whole.len()).step_by(7) {
            let _ = Headers::read(0, &mut &whole[..len]);
        }
        for at in 0..1024 {
            let mut damaged = whole.to_vec();
            damaged[at] = !damaged[at];
            let _ = Headers::read(0, &mut &damaged[..]);
        }
    }

    #[test]
    fn build_ids_are_found_behind_other_notes_and_garbage_is_not_one() {
        let note = |kind: u32, owner: &[u8], desc: &[u8]| {
            let mut note = Vec::new();
            for word in [owner.len() as u32, desc.len() as u32, kind] {
                note.extend(word.to_ne_bytes());
            }
            for part in [owner, desc] {
                note.extend(part);
                note.resize(note.len().next_multiple_of(4), 0);
            }
            note
        };
        let id = |notes: &[u8]| {
            let id = BuildId::in_notes(0, notes.len(), &mut { notes });
            id.map(|id| id.as_slice().to_vec())
        };
        let both = [
            note(1, b"GNU\0", b"abcde"),
            note(3, b"GNU\0", b"0123456789abcdefghij"),
        ]
        .concat();
        assert_eq!(id(&both).as_deref(), Some(&b"0123456789abcdefghij"[..]));
        assert_eq!(id(&note(3, b"Go\0\0", b"x")), None);
        for len in 0..both.len() - 1 {
            assert_eq!(id(&both[..len]), None);
        }
        assert_eq!(id(&[0xff; 64]), None);
    }
}
