//! What could not be kept whole, and why.

use core::sync::atomic::{AtomicU64, Ordering};

/// Samples that could not be kept whole, by cause.
#[derive(Debug)]
pub(super) struct Drops {
    pub(super) nested: AtomicU64,
    pub(super) mixed_sizes: AtomicU64,
    pub(super) labels: AtomicU64,
    pub(super) entries: AtomicU64,
    pub(super) bucket_limit: AtomicU64,
    pub(super) live_limit: AtomicU64,
    pub(super) no_memory: AtomicU64,
}

impl Drops {
    pub(super) const fn new() -> Self {
        Self {
            nested: AtomicU64::new(0),
            mixed_sizes: AtomicU64::new(0),
            labels: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            bucket_limit: AtomicU64::new(0),
            live_limit: AtomicU64::new(0),
            no_memory: AtomicU64::new(0),
        }
    }

    /// Counts a sample that found no room in a table; `limit` is the counter for that table's limit.
    pub(super) fn count(&self, cause: NoRoom, limit: &AtomicU64) {
        let counter = match cause {
            NoRoom::Limit => limit,
            NoRoom::Memory => &self.no_memory,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a table could not take an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It holds as many as its limit allows.
    Limit,
    /// The system gave no memory.
    Memory,
}
