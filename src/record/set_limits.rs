//! The limits in force, readable from any thread.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::Limits;

/// The limits in force, set with the rate at the first allocation.
#[derive(Debug)]
pub(super) struct SetLimits {
    buckets: AtomicUsize,
    live_records: AtomicUsize,
    depth: AtomicUsize,
    profile_samples: AtomicUsize,
    profile_bytes: AtomicUsize,
    label_sets: AtomicUsize,
    custom_stacks: AtomicUsize,
}

impl SetLimits {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            buckets: AtomicUsize::new(limits.buckets),
            live_records: AtomicUsize::new(limits.live_records),
            depth: AtomicUsize::new(limits.depth),
            profile_samples: AtomicUsize::new(limits.profile_samples),
            profile_bytes: AtomicUsize::new(limits.profile_bytes),
            label_sets: AtomicUsize::new(limits.label_sets),
            custom_stacks: AtomicUsize::new(limits.custom_stacks),
        }
    }

    pub(super) fn set(&self, limits: &Limits) {
        self.buckets.store(limits.buckets, Ordering::Relaxed);
        self.live_records
            .store(limits.live_records, Ordering::Relaxed);
        self.depth.store(limits.depth, Ordering::Relaxed);
        self.profile_samples
            .store(limits.profile_samples, Ordering::Relaxed);
        self.profile_bytes
            .store(limits.profile_bytes, Ordering::Relaxed);
        self.label_sets.store(limits.label_sets, Ordering::Relaxed);
        self.custom_stacks
            .store(limits.custom_stacks, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Limits {
        Limits {
            buckets: self.buckets.load(Ordering::Relaxed),
            live_records: self.live_records.load(Ordering::Relaxed),
            depth: self.depth.load(Ordering::Relaxed),
            profile_samples: self.profile_samples.load(Ordering::Relaxed),
            profile_bytes: self.profile_bytes.load(Ordering::Relaxed),
            label_sets: self.label_sets.load(Ordering::Relaxed),
            custom_stacks: self.custom_stacks.load(Ordering::Relaxed),
        }
    }
}
