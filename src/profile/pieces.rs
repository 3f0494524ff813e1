//! `Pieces`: an answer in parts, each in pages of its own.

use std::alloc::{Layout, handle_alloc_error};
use std::io::{self, Write};

use crate::pages::PageVec;

/// Bytes of one piece. Halves would be twice as many calls to the kernel, of 20 µs for a megabyte; twice as much would be left
/// over at the end of each answer.
const PIECE: usize = 64 << 10;

/// Bytes that are added to without moving those before. Not in the host's allocator: a block over 128 KiB makes glibc keep as
/// much of the whole program's memory from then on, and smaller ones, a megabyte of them, keep what was freed below them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces(Vec<PageVec<u8>>);

impl Pieces {
    /// Ends the process, as a `Vec` does, if the system has no memory for them.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self
                .0
                .last()
                .map_or(0, |last| PIECE - last.as_slice().len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let is_added = match self.0.last_mut() {
                Some(last) if room > 0 => last.extend(now),
                _ => {
                    let mut fresh = PageVec::new();
                    let is_mapped = fresh.reserve(PIECE);
                    self.0.push(fresh);
                    is_mapped
                }
            };
            if !is_added {
                handle_alloc_error(Layout::new::<[u8; PIECE]>());
            }
            bytes = later;
        }
    }

    /// Adds `others` behind these, where they are.
    #[cfg(feature = "http")]
    pub(super) fn append(&mut self, others: Pieces) {
        self.0.extend(others.0);
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut pieces = Self::default();
        pieces.add(bytes);
        pieces
    }

    #[cfg(feature = "http")]
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(PageVec::as_slice)
    }
}

impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        self.iter().flatten().eq(other.iter().flatten())
    }
}

impl Eq for Pieces {}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_what_was_added_whatever_it_was_cut_into() {
        let all: Vec<u8> = (0..300_000_u32).map(|nth| nth as u8).collect();
        for cut in [1_usize, 1000, PIECE, PIECE + 1, all.len()] {
            let mut pieces = Pieces::default();
            all.chunks(cut).for_each(|bytes| pieces.add(bytes));
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            assert!(pieces.iter().flatten().eq(&all));
        }
        assert_eq!(Pieces::default().iter().count(), 0);
    }
}
