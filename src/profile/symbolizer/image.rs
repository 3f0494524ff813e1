//! One ELF file of this process: opened, shown to be what runs, and read in place.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use object::elf::{FileHeader64, NT_GNU_BUILD_ID, PF_X, PT_LOAD, SHT_NOBITS};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::{NativeEndian, elf};

use super::memory_map::MemoryMap;
use crate::profile::mappings::Mapping;

/// Headers of the machine's own kind; another kind of file is none of this process's.
pub(super) type Elf = FileHeader64<NativeEndian>;

/// Where distributions put debug information that they strip from binaries, by build id.
const DEBUG_FILES: &str = "/usr/lib/debug/.build-id";

/// Opens the file of a mapping. None if it cannot be read, or what is on disk may be another file than what runs.
///
/// The running binary is opened through the kernel's link to it, which leads to what runs even after the path leads to
/// the next version.
pub(super) fn open(mapping: &Mapping) -> Option<MemoryMap> {
    let path = if mapping.is_exe {
        "/proc/self/exe"
    } else {
        &mapping.path
    };
    let (map, inode) = map(Path::new(path))?;
    let is_verified = match Image::parse(map.bytes())?.build_id() {
        Some(id) if !mapping.build_id.is_empty() => hex(id) == mapping.build_id,
        None if mapping.build_id.is_empty() => mapping.is_exe || mapping.inode == inode,
        // One has an id and the other has none.
        _ => false,
    };
    is_verified.then_some(map)
}

/// The file with the debug information of a stripped one. None if it is of another build, or there is none.
pub(super) fn open_debug_file(stripped: &Image<'_>) -> Option<MemoryMap> {
    let id = stripped.build_id()?;
    let hex = hex(id);
    let (directory, file) = hex.split_at_checked(2)?;
    let (map, _) = map(Path::new(&format!(
        "{DEBUG_FILES}/{directory}/{file}.debug"
    )))?;
    (Image::parse(map.bytes())?.build_id() == Some(id)).then_some(map)
}

/// A file's contents and inode.
fn map(path: &Path) -> Option<(MemoryMap, u64)> {
    // Opening a pipe or a device could wait or act.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let inode = file.metadata().ok()?.ino();
    Some((MemoryMap::of_file(&file)?, inode))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file's headers.
#[derive(Debug)]
pub(super) struct Image<'d> {
    pub(super) data: &'d [u8],
    pub(super) sections: SectionTable<'d, Elf>,
    segments: &'d [elf::ProgramHeader64<NativeEndian>],
}

impl<'d> Image<'d> {
    pub(super) fn parse(data: &'d [u8]) -> Option<Self> {
        let header = Elf::parse(data).ok()?;
        let endian = header.endian().ok()?;
        Some(Self {
            data,
            // A file may have been stripped of them.
            sections: header.sections(endian, data).unwrap_or_default(),
            segments: header.program_headers(endian, data).ok()?,
        })
    }

    /// By section, for in files of debug information segments have no contents; by segment where there are no sections.
    fn build_id(&self) -> Option<&'d [u8]> {
        let in_sections = self.sections.iter();
        let in_sections = in_sections.filter_map(|it| it.notes(NativeEndian, self.data).ok()?);
        let in_segments = self.segments.iter();
        let in_segments = in_segments.filter_map(|it| it.notes(NativeEndian, self.data).ok()?);
        in_sections.chain(in_segments).find_map(|mut notes| {
            while let Ok(Some(note)) = notes.next() {
                if note.name() == b"GNU" && note.n_type(NativeEndian) == NT_GNU_BUILD_ID {
                    return Some(note.desc());
                }
            }
            None
        })
    }

    /// Where there is code, in the file's own addresses.
    ///
    /// Debug information of functions that the linker has left out begins at 0, or near it: its ranges begin outside,
    /// for where a segment of code begins at 0, that is the file's header.
    pub(super) fn code(&self) -> Vec<Range<u64>> {
        let is_code = |segment: &&elf::ProgramHeader64<NativeEndian>| {
            segment.p_type(NativeEndian) == PT_LOAD && segment.p_flags(NativeEndian).contains(PF_X)
        };
        let range = |segment: &elf::ProgramHeader64<NativeEndian>| {
            let start = segment.p_vaddr(NativeEndian);
            start.max(1)..start.saturating_add(segment.p_memsz(NativeEndian))
        };
        self.segments.iter().filter(is_code).map(range).collect()
    }

    /// A section that has contents, by name.
    pub(super) fn section(&self, name: &str) -> Option<&'d elf::SectionHeader64<NativeEndian>> {
        let (_, section) = self
            .sections
            .section_by_name(NativeEndian, name.as_bytes())?;
        (section.sh_type(NativeEndian) != SHT_NOBITS).then_some(section)
    }
}
