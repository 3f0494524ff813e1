//! What the loader has loaded: where, from where, and of which build.

use std::ffi::{CStr, c_int, c_void};

use crate::pages::PAGE;

/// Longest build id that is kept: SHA-1 has 20 bytes, SHA-256 has 32.
const MAX_BUILD_ID: usize = 64;

/// Longest path that is kept. The one of a library in a longer one is cut, and leads nowhere.
const MAX_NAME: usize = 256;

/// A file that the loader has loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    /// Address in memory minus address in the file's symbol table.
    pub(super) bias: usize,
    start: usize,
    limit: usize,
    code: Option<Code>,
    build_id: Bytes<MAX_BUILD_ID>,
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
    pub(super) fn contains(&self, address: usize) -> bool {
        (self.start..self.limit).contains(&address)
    }

    pub(super) fn code(&self) -> Option<Code> {
        self.code
    }

    /// The path that it was loaded by; empty for the program itself.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(self.name.as_slice()).into_owned()
    }

    /// Empty if it has none.
    pub(super) fn build_id_hex(&self) -> String {
        let bytes = self.build_id.as_slice();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    let mut object = Object {
        bias,
        start,
        limit,
        code,
        build_id: Bytes::of(&[]),
        name: Bytes::of(name),
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
                object.build_id = Bytes::of(id);
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

#[cfg(test)]
mod tests {
    use super::*;

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
