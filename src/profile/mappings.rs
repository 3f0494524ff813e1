//! Which file each address belongs to: `/proc/self/maps` joined with what each file's headers say, read from memory. The
//! loader knows the same, behind a lock that a fork child may have inherited from a thread which it does not have.

use std::ffi::c_void;
use std::sync::Arc;
use std::{env, fs};

use super::loader::{self, Object};
use super::object_headers::{Headers, ObjectHeaders};

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
    /// Address in memory minus address in the file's symbol table; None if it is not known to be an ELF file.
    pub(super) bias: Option<usize>,
}

impl Mapping {
    /// Whether it is the same part of the same file at the same place.
    pub(super) fn is_same_file(&self, other: &Mapping) -> bool {
        // Where the kernel could not be asked for one of the two, the build id tells files of one path apart.
        let is_unknown = (self.inode == 0 || other.inode == 0) && !self.build_id.is_empty();
        (self.start, self.limit, self.offset) == (other.start, other.limit, other.offset)
            && (&self.build_id, &self.path) == (&other.build_id, &other.path)
            && (self.inode == other.inode || is_unknown)
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
    /// Reads them anew: from the kernel, or, where there is no `/proc` or no descriptor to read it with, from the
    /// loader, which knows no inodes and may know another path to a library.
    pub(super) fn read() -> Self {
        let main = main_path();
        let executable = match fs::read("/proc/self/maps") {
            Ok(maps) => of_kernel(&String::from_utf8_lossy(&maps)),
            Err(_) => of_loader(&main),
        };
        let join = |(segment, headers): (Segment, Option<ObjectHeaders>)| {
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
                is_main: segment.path == main,
                path: segment.path,
                inode: segment.inode,
                build_id: headers
                    .as_ref()
                    .map(ObjectHeaders::build_id_hex)
                    .unwrap_or_default(),
                bias: headers.map(|headers| headers.bias),
            })
        };
        let mut all: Vec<Arc<Mapping>> = executable.into_iter().map(join).collect();
        // Stable: the rest stays in the order of addresses.
        all.sort_by_key(|mapping| !mapping.is_main);
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

/// The program's file. The link needs no descriptor; where there is no `/proc`, its first argument is what there is.
fn main_path() -> String {
    let link = fs::read_link("/proc/self/exe").ok();
    let path = link.map(|link| strip_deleted(&link.to_string_lossy()).to_owned());
    let argument = || Some(env::args_os().next()?.to_string_lossy().into_owned());
    path.or_else(argument).unwrap_or_default()
}

/// The executable ones of the kernel's list, with their files' headers.
fn of_kernel(maps: &str) -> Vec<(Segment, Option<ObjectHeaders>)> {
    let segments: Vec<Segment> = maps.lines().filter_map(Segment::parse).collect();
    let mut headers = Headers::new();
    let read = |(nth, segment): (usize, &Segment)| {
        // A file's headers are in its first bytes, which are mapped before the rest.
        let before = segments.get(..=nth).unwrap_or_default();
        let first = before
            .iter()
            .rev()
            .find(|first| first.offset == 0 && first.is_of_same_file(segment));
        let headers = first.and_then(|first| headers.read(first.start));
        (segment.clone(), headers)
    };
    let all = segments.iter().enumerate();
    all.filter(|(_, segment)| segment.is_executable)
        .map(read)
        .collect()
}

fn of_loader(main: &str) -> Vec<(Segment, Option<ObjectHeaders>)> {
    let objects = loader::objects();
    let segments = objects
        .iter()
        .filter_map(|object| Some((Segment::of(object, main)?, Some(object.headers()))));
    segments.collect()
}

/// A line of `/proc/self/maps` that is of a file, or of the kernel's own code.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    start: usize,
    limit: usize,
    offset: u64,
    inode: u64,
    is_executable: bool,
    /// Without what the kernel adds to that of a file which was replaced or removed.
    path: String,
}

impl Segment {
    /// `55d0c8a00000-55d0c8b00000 r-xp 00014000 fd:00 123 /usr/bin/svc`; None if it is anonymous.
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail.trim_start();
            field
        };
        let (range, permissions, offset, _device, inode) =
            (field(), field(), field(), field(), field());
        if inode == "0" && rest.is_empty() {
            return None;
        }
        let (start, limit) = range.split_once('-')?;
        Some(Segment {
            start: usize::from_str_radix(start, 16).ok()?,
            limit: usize::from_str_radix(limit, 16).ok()?,
            offset: u64::from_str_radix(offset, 16).ok()?,
            inode: inode.parse().ok()?,
            is_executable: permissions.as_bytes().get(2) == Some(&b'x'),
            path: strip_deleted(rest).to_owned(),
        })
    }
}

impl Segment {
    /// The line that the kernel would have for an object's code. The program's own object has no name.
    fn of(object: &Object, main: &str) -> Option<Self> {
        let code = object.code()?;
        let path = match object.name() {
            name if name.is_empty() => main.to_owned(),
            name => name,
        };
        Some(Segment {
            start: code.start,
            limit: code.limit,
            offset: code.offset,
            inode: 0,
            is_executable: true,
            path,
        })
    }

    fn is_of_same_file(&self, other: &Segment) -> bool {
        (self.inode, &self.path) == (other.inode, &other.path)
    }
}

/// The path of a file that was replaced or removed while it runs.
fn strip_deleted(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
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
    fn lines_of_maps_are_read_and_anonymous_ones_left_out() {
        let parse = |line| {
            Segment::parse(line)
                .filter(|segment| segment.is_executable)
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
    fn the_loader_knows_the_program_and_its_libraries_as_the_kernel_does() {
        let of_loader = of_loader(&main_path());
        let read = Mappings::read();
        for mapping in read.iter().filter(|mapping| mapping.has_file()) {
            let same = of_loader.iter().find(|(segment, headers)| {
                (segment.start, segment.limit, segment.offset)
                    == (mapping.start, mapping.limit, mapping.offset)
                    && headers.as_ref().map(|headers| headers.bias) == mapping.bias
            });
            let (same, headers) =
                same.unwrap_or_else(|| panic!("{mapping:?} is not in {of_loader:?}"));
            assert!(!mapping.is_main || same.path == mapping.path, "{same:?}");
            let build_id = headers.as_ref().map(ObjectHeaders::build_id_hex);
            assert_eq!(build_id.as_deref(), Some(mapping.build_id.as_str()));
        }
    }
}
