//! Parts of files that are mapped: as the kernel lists them, or as the loader does, each with its file's headers.

use std::{env, fs};

use super::loader::{self, Object};
use super::object_headers::HeadersOfFiles;
use crate::stack::{Headers, loader_lock};

/// A part of a file in memory, or of the kernel's own code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) limit: usize,
    pub(super) offset: u64,
    pub(super) inode: u64,
    is_executable: bool,
    /// Without what the kernel adds to that of a file which was replaced or removed.
    pub(super) path: String,
}

/// All of them. Reading them takes the loader's lock only where there is no `/proc`, or no descriptor to read it with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segments {
    OfKernel(Vec<Segment>),
    Unknown,
}

impl Segments {
    pub(super) fn read() -> Self {
        match fs::read("/proc/self/maps") {
            Ok(maps) => {
                let maps = String::from_utf8_lossy(&maps);
                Self::OfKernel(maps.lines().filter_map(Segment::parse).collect())
            }
            Err(_) => Self::Unknown,
        }
    }

    /// The executable ones, with the headers of their files. From the loader no inodes are known, and the path to a library
    /// may be another. None of them in a fork child that may not ask it.
    pub(super) fn executable(&self, program: &str) -> Vec<(Segment, Option<Headers>)> {
        match self {
            Self::OfKernel(segments) => of_kernel(segments),
            Self::Unknown if loader_lock::may_wait() => of_loader(program),
            Self::Unknown => Vec::new(),
        }
    }
}

/// What the kernel's link to what runs leads to: the program, or the loader if the program was started through that. The link
/// needs no descriptor; where there is no `/proc`, its first argument is what there is.
pub(super) fn exe_path() -> String {
    let link = fs::read_link("/proc/self/exe").ok();
    let path = link.map(|link| strip_deleted(&link.to_string_lossy()).to_owned());
    let argument = || Some(env::args_os().next()?.to_string_lossy().into_owned());
    path.or_else(argument).unwrap_or_default()
}

/// The executable ones of the kernel's list, with their files' headers.
fn of_kernel(segments: &[Segment]) -> Vec<(Segment, Option<Headers>)> {
    let mut headers = HeadersOfFiles::new();
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

fn of_loader(program: &str) -> Vec<(Segment, Option<Headers>)> {
    let objects = loader::objects();
    let segments = objects
        .iter()
        .filter_map(|object| Some((Segment::of(object, program)?, Some(object.headers))));
    segments.collect()
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

    /// The line that the kernel would have for an object's code. The program's own object has no name.
    fn of(object: &Object, program: &str) -> Option<Self> {
        let code = object.code?;
        let path = match object.name() {
            name if name.is_empty() => program.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::super::mappings::Mappings;
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
    fn the_loader_knows_the_program_and_its_libraries_as_the_kernel_does() {
        let of_loader = of_loader(&exe_path());
        let of_kernel = Segments::read().executable(&exe_path());
        let of_files = of_kernel
            .iter()
            .filter(|(segment, _)| segment.path.starts_with('/'));
        for (segment, headers) in of_files {
            let same = of_loader
                .iter()
                .find(|(same, _)| same.start == segment.start);
            let (same, same_headers) =
                same.unwrap_or_else(|| panic!("{segment:?} is not in {of_loader:?}"));
            assert_eq!((same.limit, same.offset), (segment.limit, segment.offset));
            assert_eq!(same_headers, headers, "{segment:?}");
            assert!(headers.is_some());
        }
        let mappings = Mappings::read();
        let program = mappings.iter().next().unwrap();
        let same = of_loader
            .iter()
            .find(|(same, _)| same.start == program.start);
        assert_eq!(same.unwrap().0.path, program.path);
    }
}
