//! Encodes and compresses a profile part by part.
//!
//! Protobuf messages that follow one another are one message: repeated fields are joined. So a profile never exists as a
//! whole but compressed, and a scrape takes little from the program's heap.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::proto;

/// Level 1, as Go: the levels above save a tenth for several times the time. See `src/design.md`, "Names".
const LEVEL: Compression = Compression::fast();

/// Samples in one part: as many as keep the part within some tens of kilobytes.
pub(super) const PART: usize = 64;

/// The compressed profile so far.
#[derive(Debug)]
pub(super) struct Encoder {
    gzip: GzEncoder<Vec<u8>>,
    /// Reused for each part.
    encoded: Vec<u8>,
    bytes: usize,
    limit: usize,
}

impl Encoder {
    /// `limit` is how large the profile may be before compression, in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            gzip: GzEncoder::new(Vec::new(), LEVEL),
            encoded: Vec::new(),
            bytes: 0,
            limit,
        }
    }

    /// Adds a part, and empties it.
    pub(super) fn add(&mut self, part: &mut proto::Profile) {
        self.encoded.clear();
        // A vector has room for everything.
        let _ = part.encode(&mut self.encoded);
        self.bytes += self.encoded.len();
        // What is over the limit is counted: how far over tells how many entries to leave out.
        if self.bytes <= self.limit {
            // Writing to a vector does not fail.
            let _ = self.gzip.write_all(&self.encoded);
        }
        // The vectors keep their room for the next part; the rest is said once.
        let mut samples = std::mem::take(&mut part.sample);
        let mut locations = std::mem::take(&mut part.location);
        let mut functions = std::mem::take(&mut part.function);
        let mut strings = std::mem::take(&mut part.string_table);
        samples.clear();
        locations.clear();
        functions.clear();
        strings.clear();
        *part = proto::Profile {
            sample: samples,
            location: locations,
            function: functions,
            string_table: strings,
            ..Default::default()
        };
    }

    pub(super) fn finish(self) -> Encoded {
        Encoded {
            bytes: self.bytes,
            is_whole: self.bytes <= self.limit,
            gzip: self.gzip.finish().unwrap_or_default(),
        }
    }
}

/// A compressed profile.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) gzip: Vec<u8>,
    /// Before compression.
    pub(super) bytes: usize,
    /// Whether all of it is there: it was within the limit.
    pub(super) is_whole: bool,
}
