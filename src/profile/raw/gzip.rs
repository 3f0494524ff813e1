//! Gzip from memory that is there already, whatever is compressed.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes written at once: as many as a page cache takes in one go, at the price of little memory.
const OUT: usize = 64 << 10;

/// Bytes collected before they are compressed.
const IN: usize = 16 << 10;

/// No flags, no time, no name; the fastest level; Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];

/// What compressing needs, for one file after another.
#[derive(Debug)]
pub(super) struct Gzip {
    deflate: Compress,
    crc: Crc,
    collected: Vec<u8>,
    out: Vec<u8>,
}

impl Gzip {
    pub(super) fn reserve() -> Self {
        Self {
            deflate: Compress::new(Compression::fast(), false),
            crc: Crc::new(),
            collected: Vec::with_capacity(IN),
            out: vec![0; OUT],
        }
    }

    /// Begins a file.
    pub(super) fn begin(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.deflate.reset();
        self.crc.reset();
        self.collected.clear();
        to.write_all(&HEADER)
    }

    pub(super) fn write(&mut self, bytes: &[u8], to: &mut dyn Write) -> io::Result<()> {
        for bytes in bytes.chunks(IN) {
            if self.collected.len() + bytes.len() > IN {
                self.compress(FlushCompress::None, to)?;
            }
            self.collected.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.compress(FlushCompress::Finish, to)?;
        to.write_all(&self.crc.sum().to_le_bytes())?;
        to.write_all(&self.crc.amount().to_le_bytes())
    }

    fn compress(&mut self, flush: FlushCompress, to: &mut dyn Write) -> io::Result<()> {
        self.crc.update(&self.collected);
        let mut rest = self.collected.as_slice();
        loop {
            let (read, written) = (self.deflate.total_in(), self.deflate.total_out());
            let status = self
                .deflate
                .compress(rest, &mut self.out, flush)
                .map_err(io::Error::other)?;
            let read = (self.deflate.total_in() - read) as usize;
            let written = (self.deflate.total_out() - written) as usize;
            rest = rest.get(read..).unwrap_or_default();
            to.write_all(self.out.get(..written).unwrap_or_default())?;
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => rest.is_empty(),
            };
            if is_done {
                break;
            }
            if read == 0 && written == 0 {
                return Err(io::Error::other("compression stands still"));
            }
        }
        self.collected.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn gunzip_reads_each_of_several_files() {
        let mut gzip = Gzip::reserve();
        // Of random bytes more come out than go in.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(300_000)
        .collect();
        for text in [&b""[..], b"a", &[7; 1_000_000], &noise] {
            for step in [1, 1000, 100_000] {
                let step = if text.len() > 100_000 {
                    step.max(1000)
                } else {
                    step
                };
                let mut file = Vec::new();
                gzip.begin(&mut file).unwrap();
                for bytes in text.chunks(step) {
                    gzip.write(bytes, &mut file).unwrap();
                }
                gzip.finish(&mut file).unwrap();
                let mut read = Vec::new();
                flate2::read::GzDecoder::new(file.as_slice())
                    .read_to_end(&mut read)
                    .unwrap();
                assert!(read == text, "{} bytes by {step}", text.len());
            }
        }
    }
}
