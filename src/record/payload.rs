//! What a live record says about its block, in one word.

use super::buckets::Bucket;
use super::folded::Folded;

/// What a live record remembers of its sample: a bucket, or, if the sample was folded, its rate. Whether the bucket's sizes
/// are mixed is remembered too, so that a free need not look.
///
/// ```text
/// bucket address, a multiple of 8      …000
/// …, of a bucket of mixed sizes        …010
/// rate in bytes, shifted up by one     …  1
/// ```
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload {
    Bucket(&'static Bucket),
    Mixed(&'static Bucket),
    Folded { rate: usize },
}

/// Marks a bucket of mixed sizes.
const MIXED: usize = 2;

impl Payload {
    pub(super) fn of(bucket: &'static Bucket) -> Self {
        match bucket.mixed() {
            None => Payload::Bucket(bucket),
            Some(_) => Payload::Mixed(bucket),
        }
    }

    pub(super) fn pack(self) -> usize {
        match self {
            Payload::Bucket(bucket) => core::ptr::from_ref(bucket).expose_provenance(),
            Payload::Mixed(bucket) => core::ptr::from_ref(bucket).expose_provenance() | MIXED,
            Payload::Folded { rate } => rate << 1 | 1,
        }
    }

    pub(super) fn unpack(packed: usize) -> Self {
        if packed & 1 == 1 {
            return Payload::Folded { rate: packed >> 1 };
        }
        let bucket = core::ptr::with_exposed_provenance::<Bucket>(packed & !MIXED);
        // SAFETY: even payloads are made only by `pack` from buckets of `RECORD`, which live as long as the process.
        let bucket = unsafe { &*bucket };
        if packed & MIXED == 0 {
            Payload::Bucket(bucket)
        } else {
            Payload::Mixed(bucket)
        }
    }

    pub(super) fn count_alloc(self, folded: &Folded, size: usize) {
        match self {
            Payload::Bucket(bucket) => bucket.count_alloc(),
            Payload::Mixed(bucket) => {
                if let Some(totals) = bucket.mixed() {
                    totals.count_alloc(size, bucket.rate());
                }
            }
            Payload::Folded { rate } => folded.count_alloc(size, rate),
        }
    }

    pub(super) fn count_free(self, folded: &Folded, size: usize) {
        match self {
            Payload::Bucket(bucket) => bucket.count_free(),
            Payload::Mixed(bucket) => {
                if let Some(totals) = bucket.mixed() {
                    totals.count_free(size, bucket.rate());
                }
            }
            Payload::Folded { rate } => folded.count_free(size, rate),
        }
    }
}
