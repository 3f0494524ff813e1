//! What a live record says about its block, in one word.

use super::buckets::Bucket;
use super::folded::Folded;

/// What a live record remembers of its sample: a bucket, or, if the sample was folded, its rate.
///
/// ```text
/// bucket address, a multiple of 8      …000
/// rate in bytes, shifted up by one     …  1
/// ```
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload {
    Bucket(&'static Bucket),
    Folded { rate: usize },
}

impl Payload {
    pub(super) fn pack(self) -> usize {
        match self {
            Payload::Bucket(bucket) => core::ptr::from_ref(bucket).expose_provenance(),
            Payload::Folded { rate } => rate << 1 | 1,
        }
    }

    pub(super) fn unpack(packed: usize) -> Self {
        if packed & 1 == 1 {
            return Payload::Folded { rate: packed >> 1 };
        }
        // SAFETY: even payloads are made only by `pack` from buckets of `RECORD`, which live as long as the process.
        Payload::Bucket(unsafe { &*core::ptr::with_exposed_provenance::<Bucket>(packed) })
    }

    pub(super) fn count_alloc(self, folded: &Folded, size: usize) {
        match self {
            Payload::Bucket(bucket) => bucket.count_alloc(),
            Payload::Folded { rate } => folded.count_alloc(size, rate),
        }
    }

    pub(super) fn count_free(self, folded: &Folded, size: usize) {
        match self {
            Payload::Bucket(bucket) => bucket.count_free(),
            Payload::Folded { rate } => folded.count_free(size, rate),
        }
    }
}
