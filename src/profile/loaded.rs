//! What the loader has loaded, with build ids read from memory: the file on disk may have been replaced.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::mappings::Segment;
use crate::pages::PAGE;
use crate::stack::{ModuleMark, gnu_build_id, pinned_addresses};

/// Longest build id that is kept: SHA-1 has 20 bytes, SHA-256 has 32.
const MAX_BUILD_ID: usize = 64;

/// Longest file name that is kept of an object.
const MAX_NAME: usize = 64;

/// A file that the loader has loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) bias: usize,
    start: usize,
    limit: usize,
    build_id: [u8; MAX_BUILD_ID],
    build_id_len: usize,
    /// Never unloaded.
    is_pinned: bool,
    /// Start, limit and place in the file of its code.
    code: Option<(usize, usize, u64)>,
    /// The end of its path, as far as there is room.
    name: [u8; MAX_NAME],
    name_len: usize,
}

/// How often the loader has added and removed an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Changes {
    pub(super) added: u64,
    pub(super) removed: u64,
}

impl Changes {
    pub(super) fn read() -> Self {
        unsafe extern "C" fn first(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            changes: *mut c_void,
        ) -> c_int {
            // SAFETY: the loader passes a valid entry.
            let info = unsafe { &*info };
            let now = Changes {
                added: info.dlpi_adds,
                removed: info.dlpi_subs,
            };
            // SAFETY: `read` passes its local.
            unsafe { changes.cast::<Changes>().write(now) };
            1
        }
        let mut changes = Self::default();
        // SAFETY: `first` has the signature that is called for, and `changes` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut changes).cast()) };
        changes
    }
}

impl Object {
    pub(super) fn contains(&self, address: usize) -> bool {
        (self.start..self.limit).contains(&address)
    }

    /// Keeps the last component of a path; of the program, whose path the loader leaves out, of the one that it was started
    /// by.
    fn keep_name(&mut self, path: *const c_char) {
        let path = if path.is_null() {
            c""
        } else {
            // SAFETY: a C string of the loader's, valid during the callback.
            unsafe { CStr::from_ptr(path) }
        };
        let path = if path.is_empty() {
            // SAFETY: looks a word up in the auxiliary vector.
            let started_by = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
            match started_by {
                0 => c"",
                // SAFETY: the kernel has put the path there, as a C string, for as long as the process runs.
                at => unsafe { CStr::from_ptr(std::ptr::with_exposed_provenance(at)) },
            }
        } else {
            path
        };
        let name = path
            .to_bytes()
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default();
        for (to, from) in self.name.iter_mut().zip(name) {
            *to = *from;
            self.name_len += 1;
        }
    }

    fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_len).unwrap_or_default()
    }

    pub(super) fn build_id_hex(&self) -> String {
        self.build_id()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// What the kernel would say of its code, but for the file's directory and number.
    pub(super) fn segment(&self) -> Option<Segment> {
        let (start, limit, offset) = self.code?;
        let name = self.name.get(..self.name_len).unwrap_or_default();
        let path = String::from_utf8_lossy(name).into_owned();
        Some(Segment {
            start,
            limit,
            offset,
            inode: 0,
            path,
        })
    }

    pub(super) fn mark(&self) -> Option<ModuleMark> {
        (!self.is_pinned).then(|| ModuleMark::of_build_id(self.build_id().iter().copied()))
    }
}

/// What the loader has loaded, with build ids read from memory: the file on disk may have been replaced.
pub(super) fn loaded_objects(expected: usize) -> Vec<Object> {
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
        is_pinned: pinned_addresses()
            .iter()
            .any(|address| (start..limit).contains(address)),
        code: headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
            .map(|header| (at(header), header.p_offset))
            .map(|((start, limit), offset)| {
                // As it is mapped: whole pages.
                let into_page = start % PAGE;
                (
                    start - into_page,
                    limit.next_multiple_of(PAGE),
                    offset.saturating_sub(into_page as u64),
                )
            })
            .next(),
        name: [0; MAX_NAME],
        name_len: 0,
    };
    object.keep_name(info.dlpi_name);
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
