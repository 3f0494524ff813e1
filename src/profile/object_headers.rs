//! The headers of loaded ELF files, read from this process's memory through `/proc/self/mem`, which answers with an error
//! where a library has gone meanwhile.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::pages::PAGE;
use crate::stack::{Headers, Memory};

/// Reads headers, each file's once.
#[derive(Debug)]
pub(super) struct HeadersOfFiles {
    memory: Option<OwnMemory>,
    /// By where the file's first byte lies.
    known: Vec<(usize, Option<Headers>)>,
}

impl HeadersOfFiles {
    pub(super) fn new() -> Self {
        let memory = File::open("/proc/self/mem").ok();
        Self {
            memory: memory.map(|file| OwnMemory {
                file,
                start: 0,
                page: Vec::new(),
            }),
            known: Vec::new(),
        }
    }

    /// Those of the file whose first byte is at `first`; None if it is no ELF file.
    pub(super) fn read(&mut self, first: usize) -> Option<Headers> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == first) {
            return *known;
        }
        let headers = Headers::read(first, self.memory.as_mut()?);
        self.known.push((first, headers));
        headers
    }
}

/// This process's memory, and the page of it that was read last: it holds most files' headers and notes.
#[derive(Debug)]
struct OwnMemory {
    file: File,
    start: usize,
    page: Vec<u8>,
}

impl OwnMemory {
    fn in_page(&self, address: usize, len: usize) -> Option<&[u8]> {
        let at = address.checked_sub(self.start)?;
        self.page.get(at..at.checked_add(len)?)
    }
}

impl Memory for OwnMemory {
    fn read(&mut self, address: usize, to: &mut [u8]) -> bool {
        if self.in_page(address, to.len()).is_none() {
            let start = address & !(PAGE - 1);
            let mut page = vec![0; PAGE];
            self.page.clear();
            if self.file.read_exact_at(&mut page, start as u64).is_ok() {
                (self.start, self.page) = (start, page);
            }
        }
        match self.in_page(address, to.len()) {
            Some(bytes) => {
                to.copy_from_slice(bytes);
                true
            }
            // Across two pages.
            None => self.file.read_exact_at(to, address as u64).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_says_the_same_of_every_object() {
        let mappings = crate::profile::mappings::Mappings::read();
        for object in crate::profile::loader::objects() {
            let bias = Some(object.headers.bias);
            let found = mappings.iter().any(|mapping| mapping.bias == bias);
            assert!(found, "{object:x?}");
        }
    }

    #[test]
    fn what_is_no_elf_file_has_no_headers() {
        let no_elf = [0_u8; 8192];
        assert_eq!(HeadersOfFiles::new().read(no_elf.as_ptr().addr()), None);
        assert_eq!(HeadersOfFiles::new().read(1), None);
    }
}
