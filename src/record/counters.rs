//! What the room says of itself.

use core::sync::atomic::Ordering;

use super::{RECORD, Record};

/// A reading of the profiler's own counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) buckets: usize,
    pub(crate) live_records: usize,
    /// Bytes of the profiler's own memory: mappings and static tables.
    pub(crate) memory: usize,
    pub(crate) truncated_samples: u64,
    pub(crate) nested: u64,
    pub(crate) mixed_sizes: u64,
    /// Samples that were counted without their labels.
    pub(crate) labels: u64,
    /// Things of the program's that were counted without their stack.
    pub(crate) entries: u64,
    pub(crate) bucket_limit: u64,
    pub(crate) live_limit: u64,
    pub(crate) no_memory: u64,
    pub(crate) stale: u64,
}

pub(crate) fn counters() -> Counters {
    let drops = &RECORD.drops;
    Counters {
        buckets: RECORD.buckets.len(),
        live_records: RECORD.live.len(),
        memory: size_of::<Record>()
            + RECORD.buckets.mapped()
            + RECORD.entries.mapped()
            + RECORD.live.mapped()
            + RECORD.exact.mapped()
            + RECORD.delta.bytes(),
        truncated_samples: RECORD.buckets.truncated_samples(),
        nested: drops.nested.load(Ordering::Relaxed),
        mixed_sizes: drops.mixed_sizes.load(Ordering::Relaxed),
        labels: drops.labels.load(Ordering::Relaxed),
        entries: drops.entries.load(Ordering::Relaxed),
        bucket_limit: drops.bucket_limit.load(Ordering::Relaxed),
        live_limit: drops.live_limit.load(Ordering::Relaxed),
        no_memory: drops.no_memory.load(Ordering::Relaxed),
        stale: RECORD.live.stale(),
    }
}
