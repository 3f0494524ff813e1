//! The headers of a loaded ELF file, read from this process's memory through `/proc/self/mem`, which answers with an error
//! where a library has gone meanwhile. From memory, because the file on disk may have been replaced.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// What a file's headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectHeaders {
    /// Address in memory minus address in the file.
    pub(super) bias: usize,
    /// Empty if it has none.
    build_id: Vec<u8>,
}

/// Bytes of an ELF header, and of an entry of its table of segments.
const FILE_HEADER: usize = 64;
const SEGMENT_HEADER: usize = 56;

/// Segments, and bytes of notes, that are looked at; files have a dozen, and a hundred bytes.
const MAX_SEGMENTS: usize = 128;
const MAX_NOTES: usize = 64 * 1024;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

impl ObjectHeaders {
    pub(super) fn new(bias: usize, build_id: &[u8]) -> Self {
        Self {
            bias,
            build_id: build_id.to_vec(),
        }
    }

    pub(super) fn build_id_hex(&self) -> String {
        let digits = self.build_id.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

/// Reads headers, each file's once.
#[derive(Debug)]
pub(super) struct Headers {
    memory: Option<File>,
    /// By where the file's first byte lies.
    known: Vec<(usize, Option<ObjectHeaders>)>,
}

impl Headers {
    pub(super) fn new() -> Self {
        Self {
            memory: File::open("/proc/self/mem").ok(),
            known: Vec::new(),
        }
    }

    /// Those of the file whose first byte is at `first`; None if it is no ELF file.
    pub(super) fn read(&mut self, first: usize) -> Option<ObjectHeaders> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == first) {
            return known.clone();
        }
        let memory = self.memory.as_ref()?;
        let headers = parse(first, &|address, bytes| {
            memory.read_exact_at(bytes, address as u64).is_ok()
        });
        self.known.push((first, headers.clone()));
        headers
    }
}

/// `read` fills bytes from an address; false if it cannot.
fn parse(first: usize, read: &dyn Fn(usize, &mut [u8]) -> bool) -> Option<ObjectHeaders> {
    let mut header = [0; FILE_HEADER];
    if !read(first, &mut header) || !header.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let (table, size, count) = (
        word(&header, 32)?,
        u16::from_ne_bytes(bytes(&header, 54)?),
        u16::from_ne_bytes(bytes(&header, 56)?),
    );
    if usize::from(size) != SEGMENT_HEADER {
        return None;
    }
    let mut table_bytes = vec![0; usize::from(count).min(MAX_SEGMENTS) * SEGMENT_HEADER];
    if !read(first.checked_add(table)?, &mut table_bytes) {
        return None;
    }
    let segments = || {
        let headers = table_bytes.chunks_exact(SEGMENT_HEADER);
        headers.filter_map(Segment::parse)
    };
    let loads = || segments().filter(|segment| segment.kind == PT_LOAD);
    // The one that the file's first byte belongs to.
    let head = loads().find(|load| load.offset < crate::pages::PAGE)?;
    let bias = first.wrapping_sub(head.address.wrapping_sub(head.offset));
    let note = |segment: Segment| {
        // What lies in no loaded segment is not in memory.
        let end = segment.address.checked_add(segment.size)?;
        let is_loaded = |load: Segment| {
            load.address <= segment.address
                && load
                    .address
                    .checked_add(load.size)
                    .is_some_and(|load| end <= load)
        };
        if segment.size > MAX_NOTES || !loads().any(is_loaded) {
            return None;
        }
        let mut notes = vec![0; segment.size];
        let is_read = read(bias.wrapping_add(segment.address), &mut notes);
        is_read.then(|| gnu_build_id(&notes).map(<[u8]>::to_vec))?
    };
    let build_id = segments()
        .filter(|segment| segment.kind == PT_NOTE)
        .find_map(note);
    Some(ObjectHeaders {
        bias,
        build_id: build_id.unwrap_or_default(),
    })
}

/// An entry of the table of segments.
#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    offset: usize,
    address: usize,
    /// In memory.
    size: usize,
}

impl Segment {
    fn parse(header: &[u8]) -> Option<Self> {
        Some(Self {
            kind: u32::from_ne_bytes(bytes(header, 0)?),
            offset: word(header, 8)?,
            address: word(header, 16)?,
            size: word(header, 40)?,
        })
    }
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn word(from: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_ne_bytes(bytes(from, at)?)).ok()
}

/// The description of the first note with type 3 and owner `GNU`.
pub(super) fn gnu_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let word = |at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?));
        let (name_size, desc_size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let desc_at = 12 + name_size.next_multiple_of(4);
        let desc = notes.get(desc_at..desc_at.checked_add(desc_size)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + name_size) == Some(b"GNU\0") {
            return Some(desc);
        }
        notes = notes.get(desc_at + desc_size.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_says_the_same_of_every_object() {
        unsafe extern "C" fn note(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            seen: *mut std::ffi::c_void,
        ) -> libc::c_int {
            // SAFETY: the test passes its own vector.
            let seen = unsafe { &mut *seen.cast::<Vec<usize>>() };
            // SAFETY: the loader passes a valid entry.
            seen.push(unsafe { &*info }.dlpi_addr as usize);
            0
        }
        let mut biases: Vec<usize> = Vec::with_capacity(256);
        // SAFETY: `note` has the signature that is called for.
        unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut biases).cast()) };
        let mappings = crate::profile::mappings::Mappings::read();
        for bias in biases {
            let found = mappings.iter().any(|mapping| mapping.bias == Some(bias));
            assert!(found, "{bias:#x}");
        }
    }

    #[test]
    fn what_is_no_elf_file_has_no_headers() {
        let no_elf = [0_u8; 8192];
        assert_eq!(Headers::new().read(no_elf.as_ptr().addr()), None);
        assert_eq!(Headers::new().read(1), None);
        // Cut short, or claiming anything: no panic.
        let whole = std::fs::read("/proc/self/exe").unwrap();
        for len in (0..600).step_by(7) {
            let cut = |address: usize, into: &mut [u8]| {
                let from = whole.get(..len).and_then(|file| file.get(address..));
                let from = from.and_then(|from| from.get(..into.len()));
                from.inspect(|from| into.copy_from_slice(from)).is_some()
            };
            let _ = parse(0, &cut);
        }
        for at in 16..600_usize {
            let garbled = |address: usize, into: &mut [u8]| {
                let Some(from) = whole.get(address..).and_then(|from| from.get(..into.len()))
                else {
                    return false;
                };
                into.copy_from_slice(from);
                if let Some(byte) = at.checked_sub(address).and_then(|at| into.get_mut(at)) {
                    *byte = 0xff;
                }
                true
            };
            let _ = parse(0, &garbled);
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
        let both = [
            note(1, b"GNU\0", b"abcde"),
            note(3, b"GNU\0", b"0123456789abcdefghij"),
        ]
        .concat();
        assert_eq!(gnu_build_id(&both), Some(&b"0123456789abcdefghij"[..]));
        assert_eq!(gnu_build_id(&note(3, b"Go\0\0", b"x")), None);
        for len in 0..both.len() - 1 {
            assert_eq!(gnu_build_id(&both[..len]), None);
        }
        assert_eq!(gnu_build_id(&[0xff; 64]), None);
    }
}
