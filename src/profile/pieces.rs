//! `Pieces`: an answer in parts that no allocator finds large.

use std::io::{self, Write};

/// Bytes of one piece: under 128 KiB, beyond which a free makes glibc keep more memory of the whole program from then on.
const PIECE: usize = 64 << 10;

/// Bytes that are added to without moving those before.
#[derive(Debug, Default)]
pub(crate) struct Pieces(pub(crate) Vec<Vec<u8>>);

impl Pieces {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let last = self.0.last().map_or(PIECE, Vec::len);
        if last + bytes.len() > PIECE {
            self.0.push(Vec::with_capacity(PIECE.max(bytes.len())));
        }
        if let Some(piece) = self.0.last_mut() {
            piece.extend_from_slice(bytes);
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
