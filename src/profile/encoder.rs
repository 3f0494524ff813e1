//! Encodes a profile part by part, in any of its forms.
//!
//! ```text
//! samples ─▶ Tables ─▶ parts of a pprof message ─▶ Encoder ┬ protobuf, gzip
//!                                                          ├ json.rs
//!                                                          └ collapsed.rs
//! ```
//!
//! Protobuf messages that follow one another are one message: repeated fields are joined. So a profile never exists as a
//! whole but compressed, and a scrape takes little from the program's heap.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

#[cfg(feature = "http")]
use super::collapsed::Collapsed;
use super::format::ProfileFormat;
#[cfg(feature = "http")]
use super::json::Json;
use super::pieces::Pieces;
use super::proto;

/// Level 1, as Go: the next saves 2 % for four times the time. See `src/design.md`, "Profiles".
const LEVEL: Compression = Compression::fast();

/// Samples in one part: as many as keep the part within some tens of kilobytes.
pub(super) const PART: usize = 64;

/// Of all comments.
const COMMENT_BYTES: usize = 4096;

/// The written profile so far.
#[derive(Debug)]
pub(super) struct Encoder {
    form: Form,
    /// Of protobuf, whatever the form, so that the same is folded in each.
    bytes: usize,
    /// Bytes of the largest part.
    largest: usize,
    limit: usize,
}

#[derive(Debug)]
enum Form {
    Pprof {
        gzip: GzEncoder<Pieces>,
        /// Reused for each part.
        encoded: Vec<u8>,
    },
    #[cfg(feature = "http")]
    Json(Box<Json>),
    #[cfg(feature = "http")]
    Collapsed(Collapsed),
}

impl Encoder {
    /// `limit` is how large the profile may be as protobuf before compression, in bytes.
    pub(super) fn new(limit: usize, format: ProfileFormat) -> Self {
        let form = match format {
            ProfileFormat::Pprof => Form::Pprof {
                gzip: GzEncoder::new(Pieces::default(), LEVEL),
                encoded: Vec::new(),
            },
            #[cfg(feature = "http")]
            ProfileFormat::Json => Form::Json(Box::new(Json::new())),
            #[cfg(feature = "http")]
            ProfileFormat::Collapsed { value } => Form::Collapsed(Collapsed::new(value)),
        };
        Self {
            form,
            bytes: 0,
            largest: 0,
            limit,
        }
    }

    /// Adds a part, and empties it.
    pub(super) fn add(&mut self, part: &mut proto::Profile) {
        let len = part.encoded_len();
        self.bytes += len;
        self.largest = self.largest.max(len);
        if !self.is_over() {
            match &mut self.form {
                Form::Pprof { gzip, encoded } => {
                    encoded.clear();
                    // A vector has room for everything, and writing to memory does not fail.
                    let _ = part.encode(encoded);
                    let _ = gzip.write_all(encoded);
                }
                #[cfg(feature = "http")]
                Form::Json(json) => json.add(part),
                #[cfg(feature = "http")]
                Form::Collapsed(collapsed) => collapsed.add(part),
            }
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

    /// The profile in pieces; None if it is larger than it may be.
    pub(super) fn finish(self) -> Option<Pieces> {
        if self.is_over() {
            return None;
        }
        Some(match self.form {
            Form::Pprof { gzip, .. } => gzip.finish().unwrap_or_default(),
            #[cfg(feature = "http")]
            Form::Json(json) => json.finish(),
            #[cfg(feature = "http")]
            Form::Collapsed(collapsed) => collapsed.finish(),
        })
    }
}
