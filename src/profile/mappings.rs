//! Which file each address belongs to: `/proc/self/maps` joined with what the loader knows.

use std::ffi::{c_int, c_void};
use std::fs;
use std::sync::Arc;

use crate::stack::ReturnAddress;

/// One executable segment in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: usize,
    /// One past its last byte.
    pub(super) limit: usize,
    /// Of its first byte, in the file.
    pub(super) offset: u64,
    /// The last component of the file's path. A path that can be opened would make `go tool pprof` disassemble it
    /// instead of showing the profile's own lines.
    pub(super) file: String,
    /// Where the file was when it was loaded.
    pub(super) path: String,
    /// Of the file, as the kernel numbers it.
    pub(super) inode: u64,
    /// Whether it is the program that this process runs.
    pub(super) is_main: bool,
    /// GNU build id, lower-case hex; empty if the file has none.
    pub(super) build_id: String,
    /// Address in memory minus address in the file's symbol table, if the loader knows the file.
    pub(super) bias: Option<usize>,
}

impl Mapping {
    /// Whether it is the same part of the same file at the same place.
    pub(super) fn is_same_file(&self, other: &Mapping) -> bool {
        (self.start, self.limit, self.offset) == (other.start, other.limit, other.offset)
            && self.build_id == other.build_id
            && (self.inode, &self.path) == (other.inode, &other.path)
    }

    /// Whether it is of a file at all: the kernel's own code is not.
    pub(super) fn has_file(&self) -> bool {
        self.path.starts_with('/')
    }

    pub(super) fn contains(&self, address: usize) -> bool {
        (self.start..self.limit).contains(&address)
    }

    /// The address as the file's symbol table and debug information have it, so that it can be looked up with the file.
    pub(super) fn file_address(&self, address: usize) -> usize {
        address.wrapping_sub(self.bias.unwrap_or(self.start))
    }
}

/// The executable segments of this process, the main binary's first.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    all: Vec<Arc<Mapping>>,
    /// Starts and indices, sorted: a profile has many addresses.
    by_start: Vec<(usize, usize)>,
}

impl Mappings {
    /// Reads them anew. Empty where there is no `/proc`.
    pub(super) fn read() -> Self {
        let maps = fs::read("/proc/self/maps").unwrap_or_default();
        let main = fs::read_link("/proc/self/exe").unwrap_or_default();
        let main = strip_deleted(&main.to_string_lossy()).to_owned();
        let mut segments: Vec<Segment> = String::from_utf8_lossy(&maps)
            .lines()
            .filter_map(Segment::parse)
            .collect();
        // Stable: the rest stays in the order of addresses.
        let is_main = |segment: &Segment| segment.path == main;
        segments.sort_by_key(|segment| !is_main(segment));
        let objects = loaded_objects(segments.len());
        let join = |segment: Segment| {
            let object = objects.iter().find(|object| object.contains(segment.start));
            Arc::new(Mapping {
                start: segment.start,
                limit: segment.limit,
                offset: segment.offset,
                file: segment
                    .path
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                is_main: is_main(&segment),
                path: segment.path,
                inode: segment.inode,
                build_id: object.map(Object::build_id_hex).unwrap_or_default(),
                bias: object.map(|object| object.bias),
            })
        };
        let all: Vec<Arc<Mapping>> = segments.into_iter().map(join).collect();
        let starts = all.iter().map(|mapping| mapping.start);
        let mut by_start: Vec<_> = starts.zip(0..).collect();
        by_start.sort_unstable();
        Mappings { all, by_start }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.all.iter()
    }

    /// What stands for the name of code that has none: `binary+0xoffset`, which `addr2line -e binary` takes, or the
    /// address itself if the library is loaded no more.
    pub(super) fn placeholder(&self, address: usize) -> String {
        match self.find(address) {
            Some((_, mapping)) => format!("{}+{:#x}", mapping.file, mapping.file_address(address)),
            None => format!("{address:#x}"),
        }
    }

    /// The mapping that holds `address`, and its index.
    pub(super) fn find(&self, address: usize) -> Option<(usize, &Arc<Mapping>)> {
        let after = self
            .by_start
            .partition_point(|(start, _)| *start <= address);
        let (_, nth) = *self.by_start.get(after.checked_sub(1)?)?;
        let mapping = self.all.get(nth)?;
        mapping.contains(address).then_some((nth, mapping))
    }
}

/// An executable line of `/proc/self/maps`.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    start: usize,
    limit: usize,
    offset: u64,
    inode: u64,
    /// Without what the kernel adds to that of a file which was replaced or removed.
    path: String,
}

impl Segment {
    /// `55d0c8a00000-55d0c8b00000 r-xp 00014000 fd:00 123 /usr/bin/svc`; None if it is not executable, or anonymous.
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail.trim_start();
            field
        };
        let (range, permissions, offset, _device, inode) =
            (field(), field(), field(), field(), field());
        if permissions.as_bytes().get(2) != Some(&b'x') || (inode == "0" && rest.is_empty()) {
            return None;
        }
        let (start, limit) = range.split_once('-')?;
        Some(Segment {
            start: usize::from_str_radix(start, 16).ok()?,
            limit: usize::from_str_radix(limit, 16).ok()?,
            offset: u64::from_str_radix(offset, 16).ok()?,
            inode: inode.parse().ok()?,
            path: strip_deleted(rest).to_owned(),
        })
    }
}

/// The path of a file that was replaced or removed while it runs.
fn strip_deleted(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
}

/// Longest build id that is kept: SHA-1 has 20 bytes, SHA-256 has 32.
const MAX_BUILD_ID: usize = 64;

/// A file that the loader has loaded.
#[derive(Debug, Clone, Copy)]
struct Object {
    bias: usize,
    start: usize,
    limit: usize,
    build_id: [u8; MAX_BUILD_ID],
    build_id_len: usize,
}

impl Object {
    fn contains(&self, address: usize) -> bool {
        (self.start..self.limit).contains(&address)
    }

    fn build_id_hex(&self) -> String {
        let bytes = self.build_id.get(..self.build_id_len).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the loader has loaded, with build ids read from memory: the file on disk may have been replaced.
fn loaded_objects(expected: usize) -> Vec<Object> {
    // The loader's lock is held while the callback runs, so the callback must not allocate: room is made before.
    // A file has one executable segment, seldom more; the margin is for what is loaded meanwhile.
    let mut objects: Vec<Object> = Vec::with_capacity(expected + 64);
    // SAFETY: `visit` has the signature that is called for, and `objects` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut objects).cast()) };
    objects
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    objects: *mut c_void,
) -> c_int {
    // SAFETY: `loaded_objects` passes its vector, which nobody else uses during the call.
    let objects = unsafe { &mut *objects.cast::<Vec<Object>>() };
    // SAFETY: the loader passes a valid entry.
    let info = unsafe { &*info };
    if objects.len() == objects.capacity() || info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's table of this object's headers, valid during the callback.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let bias = info.dlpi_addr as usize;
    let at = |header: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    };
    let loads = || {
        headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD)
            .map(at)
    };
    let (Some(start), Some(limit)) = (
        loads().map(|load| load.0).min(),
        loads().map(|load| load.1).max(),
    ) else {
        return 0;
    };
    let mut object = Object {
        bias,
        start,
        limit,
        build_id: [0; MAX_BUILD_ID],
        build_id_len: 0,
    };
    for (from, to) in headers
        .iter()
        .filter(|header| header.p_type == libc::PT_NOTE)
        .map(at)
    {
        // Notes lie in a readable segment, else they are not in memory.
        if loads().any(|load| load.0 <= from && to <= load.1) && from < to {
            // SAFETY: inside a loaded segment of an object that the loader keeps loaded during the callback.
            let notes = unsafe { std::slice::from_raw_parts(from as *const u8, to - from) };
            if let Some(id) = gnu_build_id(notes) {
                let kept = id.len().min(MAX_BUILD_ID);
                if let (Some(to), Some(from)) = (object.build_id.get_mut(..kept), id.get(..kept)) {
                    to.copy_from_slice(from);
                    object.build_id_len = kept;
                }
            }
        }
    }
    objects.push(object);
    0
}

/// The description of the first note with type 3 and owner `GNU`.
fn gnu_build_id(mut notes: &[u8]) -> Option<&[u8]> {
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

unsafe extern "C" {
    fn _Unwind_FindEnclosingFunction(pc: *mut c_void) -> *mut c_void;
}

/// Where the function of a frame begins, from its unwind data: known in stripped binaries too. None for code without.
pub(super) fn function_start(frame: ReturnAddress) -> Option<usize> {
    // SAFETY: looks the address before this one up in the loader's tables; it need not be valid.
    let start = unsafe { _Unwind_FindEnclosingFunction(frame.0 as *mut c_void) } as usize;
    (start != 0).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_lines_of_maps_are_read_and_others_left_out() {
        let parse = |line| {
            Segment::parse(line)
                .map(|segment| (segment.start, segment.limit, segment.offset, segment.path))
        };
        let path = |line| parse(line).map(|segment| segment.3);
        assert_eq!(
            parse("55d0c8a00000-55d0c8b00000 r-xp 00014000 fd:00 123    /opt/my svc/bin"),
            Some((
                0x55d0_c8a0_0000,
                0x55d0_c8b0_0000,
                0x14000,
                "/opt/my svc/bin".into()
            ))
        );
        assert_eq!(
            path("1000-2000 r-xp 0 fd:00 9 /opt/svc (deleted)"),
            Some("/opt/svc".into())
        );
        assert_eq!(
            path("1000-2000 r-xp 0 00:00 0 [vdso]"),
            Some("[vdso]".into())
        );
        for line in [
            "1000-2000 rw-p 0 fd:00 9 /opt/svc",
            "1000-2000 r-xp 0 00:00 0",
            "",
            "x",
            "1-2",
            "z-y r-xp 0 0 1 /a",
        ] {
            assert_eq!(path(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_main_binary_is_first_and_holds_this_function() {
        let mappings = Mappings::read();
        let here = function_start as fn(ReturnAddress) -> Option<usize> as usize;
        let (index, mapping) = mappings.find(here).unwrap();
        assert_eq!(index, 0);
        assert!(mapping.bias.is_some_and(|bias| bias <= mapping.start));
        assert!(!mapping.file.contains('/'));
        assert_eq!(function_start(ReturnAddress(here + 1)), Some(here));
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
