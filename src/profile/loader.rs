//! What the loader has loaded: for a process that cannot read `/proc`, or has no descriptor left to read it with. It takes the
//! loader's lock.

use std::ffi::{CStr, c_int, c_void};

use crate::pages::PAGE;
use crate::stack::Headers;

/// Longest path that is kept. The one of a library in a longer one is cut, and leads nowhere.
const MAX_NAME: usize = 256;

/// A file that the loader has loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) headers: Headers,
    pub(super) code: Option<Code>,
    name: Bytes<MAX_NAME>,
}

/// The pages of an object's first executable segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    pub(super) start: usize,
    /// One past its last byte.
    pub(super) limit: usize,
    /// Of its first byte, in the file.
    pub(super) offset: u64,
}

/// A copy of some bytes, the first `N` at most, where nothing may be allocated.
#[derive(Debug, Clone, Copy)]
struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Bytes<N> {
    fn of(from: &[u8]) -> Self {
        let len = from.len().min(N);
        let mut bytes = [0; N];
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), from.get(..len)) {
            to.copy_from_slice(from);
        }
        Self { bytes, len }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Object {
    /// The path that it was loaded by; empty for the program itself.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(self.name.as_slice()).into_owned()
    }
}

/// What the loader has loaded, with build ids read from memory: the file on disk may have been replaced.
pub(super) fn objects() -> Vec<Object> {
    let mut count = 0_usize;
    // SAFETY: `add_one` has the signature that is called for, and `count` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add_one), (&raw mut count).cast()) };
    // The loader's lock is held while the callback runs, so the callback must not allocate: room is made before. The
    // margin is for what is loaded meanwhile.
    let mut objects: Vec<Object> = Vec::with_capacity(count + 64);
    // SAFETY: `visit` has the signature that is called for, and `objects` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut objects).cast()) };
    objects
}

unsafe extern "C" fn add_one(
    _info: *mut libc::dl_phdr_info,
    _size: usize,
    count: *mut c_void,
) -> c_int {
    // SAFETY: `objects` passes its counter, which nobody else uses during the call.
    unsafe { *count.cast::<usize>() += 1 };
    0
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    objects: *mut c_void,
) -> c_int {
    // SAFETY: `objects` passes its vector, which nobody else uses during the call.
    let objects = unsafe { &mut *objects.cast::<Vec<Object>>() };
    // SAFETY: the loader passes a valid entry.
    let info = unsafe { &*info };
    // SAFETY: the loader has passed it to this callback.
    let Some(file_headers) = (unsafe { Headers::of_loaded(info) }) else {
        return 0;
    };
    if objects.len() == objects.capacity() {
        return 0;
    }
    // SAFETY: the loader's table of this object's headers, valid during the callback.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let bias = info.dlpi_addr as usize;
    let at = |header: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    };
    let code = headers
        .iter()
        .find(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
        .and_then(|header| {
            let (start, limit) = at(header);
            let in_page = start % PAGE;
            Some(Code {
                start: start - in_page,
                limit: limit.checked_next_multiple_of(PAGE)?,
                offset: header.p_offset.saturating_sub(in_page as u64),
            })
        });
    let name = match info.dlpi_name.is_null() {
        true => &[],
        // SAFETY: the loader's own string, valid during the callback.
        false => unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes(),
    };
    objects.push(Object {
        headers: file_headers,
        code,
        name: Bytes::of(name),
    });
    0
}
