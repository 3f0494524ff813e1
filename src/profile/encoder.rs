//! Encodes and compresses a profile part by part.
//!
//! Protobuf messages that follow one another are one message: repeated fields are joined. So a profile never exists as a
//! whole but compressed, and a scrape takes little from the program's heap.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::pieces::Pieces;
use super::proto;

/// Level 1, as Go: the next saves 2 % for four times the time. See `src/design.md`, "Profiles".
const LEVEL: Compression = Compression::fast();

/// Samples in one part: as many as keep the part within some tens of kilobytes.
pub(super) const PART: usize = 64;

/// Of all comments.
const COMMENT_BYTES: usize = 4096;

/// The compressed profile so far.
#[derive(Debug)]
pub(super) struct Encoder {
    gzip: GzEncoder<Pieces>,
    /// Reused for each part.
    encoded: Vec<u8>,
    bytes: usize,
    /// Bytes of the largest part.
    largest: usize,
    limit: usize,
}

impl Encoder {
    /// `limit` is how large the profile may be before compression, in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            gzip: GzEncoder::new(Pieces::default(), LEVEL),
            encoded: Vec::new(),
            bytes: 0,
            largest: 0,
            limit,
        }
    }

    /// Adds a part, and empties it.
    pub(super) fn add(&mut self, part: &mut proto::Profile) {
        self.encoded.clear();
        // A vector has room for everything.
        let _ = part.encode(&mut self.encoded);
        self.bytes += self.encoded.len();
        self.largest = self.largest.max(self.encoded.len());
        if !self.is_over() {
            // Writing to memory does not fail.
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

    /// Whether the profile is larger than it may be.
    pub(super) fn is_over(&self) -> bool {
        self.bytes > self.limit
    }

    /// Whether no further part fits before `rest` bytes, and the one that is being filled. An eighth of the profile at
    /// most is left free for them.
    pub(super) fn is_nearly_full(&self, rest: usize) -> bool {
        let reserve = (2 * self.largest + rest + COMMENT_BYTES).min(self.limit / 8);
        self.bytes + reserve > self.limit
    }

    /// The compressed profile in pieces; None if the profile is larger than it may be.
    pub(super) fn finish(self) -> Option<Pieces> {
        (!self.is_over()).then(|| self.gzip.finish().unwrap_or_default())
    }
}
