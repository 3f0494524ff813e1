//! Which file each address belongs to: `/proc/self/maps` joined with what each file's headers say, read from memory. The
//! loader knows the same, behind a lock that a fork child may have inherited from a thread which it does not have.

use std::collections::HashSet;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

use super::segments::{Segment, Segments, exe_path};
use super::sites::Site;
use crate::stack::{Changes, Headers, ModuleMark, ReturnAddress, may_look_up, pinned_addresses};

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
    /// Address in memory minus address in the file's symbol table; None if it is not known to be an ELF file.
    pub(super) bias: Option<usize>,
    /// Of frames in it; None if it stays as long as the process runs.
    mark: Option<ModuleMark>,
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
    /// Reads them anew.
    pub(super) fn read() -> Self {
        // What comes or goes between the two readings that are joined may have taken the place of something else.
        for _ in 0..3 {
            let loaded = Loaded::read();
            let mappings = Self::of_loaded(&loaded);
            if loaded.is_still() {
                return mappings;
            }
        }
        let mut mappings = Self::of_loaded(&Loaded::read());
        for mapping in &mut mappings.all {
            let mapping = Arc::make_mut(mapping);
            mapping.mark = mapping.mark.map(|_| ModuleMark::WITHOUT_ID);
        }
        mappings.has_unloaded = true;
        mappings
    }

    fn of_loaded(loaded: &Loaded) -> Self {
        let exe = exe_path();
        let join = |(segment, headers): (Segment, Option<Headers>)| Mapping {
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
            build_id: headers
                .map(|it| hex(it.build_id.as_slice()))
                .unwrap_or_default(),
            bias: headers.map(|headers| headers.bias),
            mark: mark(&segment, headers),
            path: segment.path,
            inode: segment.inode,
        };
        let segments = loaded.segments.executable(&exe).into_iter();
        let mut all: Vec<Arc<Mapping>> = segments.map(join).map(Arc::new).collect();
        // Stable: the rest stays in the order of addresses.
        let [entry, ..] = pinned_addresses();
        all.sort_by_key(|mapping| !mapping.contains(entry));
        let starts = all.iter().map(|mapping| mapping.start);
        let mut by_start: Vec<_> = starts.zip(0..).collect();
        by_start.sort_unstable();
        Mappings {
            all,
            by_start,
            // Where nobody may ask, it may have.
            has_unloaded: loaded.changes.is_none_or(|changes| changes.removed > 0),
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

    /// Whether an address is in the mapping with this number, and that is there now.
    pub(super) fn is_there(&self, nth: u32, address: usize) -> bool {
        let nth = nth as usize;
        nth < self.by_start.len()
            && self
                .all
                .get(nth)
                .is_some_and(|mapping| mapping.contains(address))
    }

    /// A site's mapping.
    pub(super) fn of(&self, site: Site) -> Option<&Arc<Mapping>> {
        self.all.get(site.mapping? as usize)
    }

    /// Where code lies that stays as long as the process runs.
    pub(super) fn pinned(&self) -> impl Iterator<Item = Range<usize>> {
        let there = self.iter().take(self.by_start.len());
        let stays = there.filter(|mapping| mapping.mark.is_none());
        stays.map(|mapping| mapping.start..mapping.limit)
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

/// What was loaded at one time.
struct Loaded {
    segments: Segments,
    /// None if the loader may not be asked.
    changes: Option<Changes>,
}

impl Loaded {
    fn read() -> Self {
        Self {
            changes: Changes::read_if_free(),
            segments: Segments::read(),
        }
    }

    /// Whether nothing has come or gone since. The kernel's list alone does not say whether the same file has gone and come
    /// again, which makes no difference.
    fn is_still(&self) -> bool {
        match self.changes {
            Some(changes) => Changes::read_if_free() == Some(changes),
            None => Segments::read() == self.segments,
        }
    }
}

/// What frames in a segment are marked with; None if it stays as long as the process runs.
fn mark(segment: &Segment, headers: Option<Headers>) -> Option<ModuleMark> {
    let code = segment.start..segment.limit;
    // Known without the headers, which cannot be read everywhere.
    if pinned_addresses()
        .iter()
        .any(|address| code.contains(address))
    {
        return None;
    }
    headers.map_or(Some(ModuleMark::NOWHERE), |headers| headers.mark())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

unsafe extern "C" {
    fn _Unwind_FindEnclosingFunction(pc: *mut c_void) -> *mut c_void;
}

/// Where the function of a frame begins, from its unwind data: known in stripped binaries too. None for code without. To be
/// asked only of code that stays loaded: the unwind data is read where it lies.
pub(super) fn function_start(frame: ReturnAddress) -> Option<usize> {
    if !may_look_up() {
        return None;
    }
    // SAFETY: looks the address before this one up in the loader's tables, and reads that object's unwind data; the callers
    // ask of objects that are never unloaded.
    let start = unsafe { _Unwind_FindEnclosingFunction(frame.0 as *mut c_void) } as usize;
    (start != 0).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

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
