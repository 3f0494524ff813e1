//! Which file each address belongs to: `/proc/self/maps` joined with what the loader knows.

use std::collections::HashSet;
use std::ffi::c_void;
use std::fs;
use std::sync::Arc;

use super::loaded::{Changes, Object, loaded_objects};
use super::sites::Site;
use crate::stack::{ModuleMark, ReturnAddress};

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
    /// Whether the kernel's link to what this process runs leads to it: to the program, or to the loader if the program was
    /// started through that.
    pub(super) is_exe: bool,
    /// GNU build id, lower-case hex; empty if the file has none.
    pub(super) build_id: String,
    /// Address in memory minus address in the file's symbol table, if the loader knows the file.
    pub(super) bias: Option<usize>,
    /// Of frames in it; None if it stays as long as the process runs.
    mark: Option<ModuleMark>,
}

impl Mapping {
    /// Whether it is the same part of the same file at the same place.
    pub(super) fn is_same_file(&self, other: &Mapping) -> bool {
        (self.start, self.limit, self.offset) == (other.start, other.limit, other.offset)
            && self.build_id == other.build_id
            && (self.inode, &self.path) == (other.inode, &other.path)
    }

    /// Whether code that was loaded here can be told from what takes its place.
    pub(super) fn can_be_told_apart(&self) -> bool {
        self.mark.is_some_and(ModuleMark::is_of_build_id)
    }

    /// Whether a frame at one of its addresses, with this mark before it in its stack, was in this very mapping.
    fn holds(&self, mark: Option<ModuleMark>, has_unloaded: bool) -> bool {
        match (self.mark, mark) {
            // It was always here.
            (None, _) => true,
            (Some(own), Some(seen)) if own.is_of_build_id() || has_unloaded => {
                own == seen && own.is_of_build_id()
            }
            (Some(own), Some(seen)) => own == seen,
            // Not every way of walking marks what it meets.
            (Some(_), None) => !has_unloaded,
        }
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
    /// Of those that are there now: starts and indices, sorted. A profile has many addresses.
    by_start: Vec<(usize, usize)>,
    /// Whether the loader has ever unloaded anything.
    has_unloaded: bool,
}

impl Mappings {
    /// Reads them anew. Empty where there is no `/proc`.
    pub(super) fn read() -> Self {
        // What comes or goes between the two readings that are joined may have taken the place of something else.
        for _ in 0..3 {
            let before = Changes::read();
            let mappings = Self::read_once();
            if before == Changes::read() {
                return mappings;
            }
        }
        let mut mappings = Self::read_once();
        for mapping in &mut mappings.all {
            let mapping = Arc::make_mut(mapping);
            mapping.mark = mapping.mark.map(|_| ModuleMark::WITHOUT_ID);
        }
        mappings.has_unloaded = true;
        mappings
    }

    fn read_once() -> Self {
        let maps = fs::read("/proc/self/maps").unwrap_or_default();
        let exe = fs::read_link("/proc/self/exe").unwrap_or_default();
        let exe = strip_deleted(&exe.to_string_lossy()).to_owned();
        let mut segments: Vec<Segment> = String::from_utf8_lossy(&maps)
            .lines()
            .filter_map(Segment::parse)
            .collect();
        let objects = loaded_objects(segments.len());
        if segments.is_empty() {
            // No `/proc`, or no file descriptor left.
            segments = objects.iter().filter_map(Object::segment).collect();
        }
        // The loader's list begins with the program. Stable: the rest stays in the order of addresses.
        let program = objects.first();
        let is_program = |segment: &Segment| program.is_some_and(|it| it.contains(segment.start));
        segments.sort_by_key(|segment| !is_program(segment));
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
                is_exe: segment.path == exe,
                path: segment.path,
                inode: segment.inode,
                build_id: object.map(Object::build_id_hex).unwrap_or_default(),
                bias: object.map(|object| object.bias),
                mark: object.map_or(Some(ModuleMark::NOWHERE), |object| object.mark()),
            })
        };
        let all: Vec<Arc<Mapping>> = segments.into_iter().map(join).collect();
        let starts = all.iter().map(|mapping| mapping.start);
        let mut by_start: Vec<_> = starts.zip(0..).collect();
        by_start.sort_unstable();
        let has_unloaded = Changes::read().removed > 0;
        Mappings {
            all,
            by_start,
            has_unloaded,
        }
    }

    /// Adds, behind all others, mappings that are not there any more.
    pub(super) fn add_gone(&mut self, gone: Vec<Arc<Mapping>>) {
        self.all.extend(gone);
    }

    /// Leaves out of those that are gone what is not among `sites`. Numbers are others afterwards.
    pub(super) fn forget_unused(&mut self, sites: impl FnOnce(&Self) -> HashSet<Option<u32>>) {
        let present = self.by_start.len();
        if self.all.len() == present {
            return;
        }
        let used = sites(self);
        let mut nth = 0;
        self.all.retain(|_| {
            nth += 1;
            nth as usize <= present || used.contains(&Some(nth - 1))
        });
    }

    /// The number of the mapping that a frame was in, whose stack has `mark` before it: one that is there, or was.
    pub(super) fn holder(&self, address: usize, mark: Option<ModuleMark>) -> Option<u32> {
        if let Some((nth, mapping)) = self.find(address)
            && mapping.holds(mark, self.has_unloaded)
        {
            return Some(nth as u32);
        }
        let mark = mark.filter(|mark| mark.is_of_build_id())?;
        let gone = self.all.iter().enumerate().skip(self.by_start.len());
        let mut held = gone.filter(|(_, old)| old.contains(address) && old.mark == Some(mark));
        held.next().map(|(nth, _)| nth as u32)
    }

    /// A site's mapping.
    pub(super) fn of(&self, site: Site) -> Option<&Arc<Mapping>> {
        self.all.get(site.mapping? as usize)
    }

    /// Whether a site's mapping is there now.
    pub(super) fn is_present(&self, site: Site) -> bool {
        site.mapping
            .is_some_and(|nth| (nth as usize) < self.by_start.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.all.iter()
    }

    /// What stands for the name of code that has none: `binary+0xoffset`, which `addr2line -e binary` takes, or the
    /// address itself if it is not known what was there.
    pub(super) fn placeholder(&self, site: Site) -> String {
        let address = site.address.call();
        match self.of(site) {
            Some(mapping) => format!("{}+{:#x}", mapping.file, mapping.file_address(address)),
            None => format!("{address:#x}"),
        }
    }

    /// The mapping that holds `address` now, and its index.
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
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) limit: usize,
    pub(super) offset: u64,
    pub(super) inode: u64,
    /// Without what the kernel adds to that of a file which was replaced or removed.
    pub(super) path: String,
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
    fn without_proc_the_loader_says_the_same() {
        let (objects, mappings) = (loaded_objects(0), Mappings::read());
        for object in &objects {
            let segment = object.segment().unwrap();
            // The kernel's own code has another name there.
            if segment.path.contains("vdso") {
                continue;
            }
            let (_, mapping) = mappings.find(segment.start).unwrap();
            assert_eq!(
                (segment.start, segment.limit, segment.offset),
                (mapping.start, mapping.limit, mapping.offset)
            );
            // The name by which it was asked for may be a link to the file.
            let stem = |name: &str| name.split('.').next().map(str::to_owned);
            assert_eq!(stem(&segment.path), stem(&mapping.file), "{segment:?}");
        }
        assert!(objects.len() > 2);
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
}
