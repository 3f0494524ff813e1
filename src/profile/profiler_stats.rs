//! `ProfilerStats`: how the profiler itself is doing.

use crate::labels;
use crate::record;
use crate::stack;

/// How the profiler itself is doing: what it holds, and every sample that it could not keep whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfilerStats {
    /// How call stacks are walked: by `"stack-delta tables"`; by `"unwind data, until there are tables"` before the first
    /// profile; or by `"backtrace"` where there are none: on other platforms than x86-64 with glibc, before glibc 2.35 until
    /// the first profile, and if the tables failed their self-test.
    pub unwinder: &'static str,
    /// Bytes of those tables.
    pub unwind_table_bytes: usize,
    /// Frames of a sampled stack, on average.
    pub mean_depth: usize,
    /// Distinct entries: of stack, size, rate and labels.
    pub buckets: usize,
    /// Sampled blocks that are alive.
    pub live_records: usize,
    /// Bytes of memory that the profiler has mapped, its static tables included.
    pub memory_bytes: usize,
    /// Samples whose stack was deeper than [`Limits::depth`](crate::Limits::depth): frames are missing at the root.
    pub truncated_stacks: u64,
    /// Samples whose stack ended before its root: code without unwind data, a frame that leads off the stack, or too little
    /// stack left to walk it.
    pub stopped_stacks: u64,
    /// Samples without an object size: three quarters of [`Limits::buckets`](crate::Limits::buckets) are used, and new sizes
    /// of a stack are counted together. Totals include them.
    pub mixed_sizes: u64,
    /// Samples without a stack because [`Limits::buckets`](crate::Limits::buckets) was reached. Totals include them.
    pub folded_bucket_limit: u64,
    /// Samples missing from in-use because [`Limits::live_records`](crate::Limits::live_records) was reached.
    /// Allocated totals include them.
    pub folded_live_limit: u64,
    /// Samples without a stack because the system gave no memory.
    pub folded_no_memory: u64,
    /// Allocations that could not be sampled because they happened inside the profiler's slow path: in a signal
    /// handler, or by the inner allocator through the global one.
    pub nested: u64,
    /// Sampled blocks that were freed past the allocator, by C's `free` say, and found out when their address came
    /// again.
    pub stale: u64,
    /// Distinct sets of [`labels`](crate::labels).
    pub label_sets: usize,
    /// Scopes that ran without labels because [`Limits::label_sets`](crate::Limits::label_sets) was reached, or the system gave
    /// no memory.
    pub dropped_labels: u64,
    /// Labels that were left out: by their key, or because there were more than
    /// [`MAX_LABELS`](crate::labels::MAX_LABELS).
    pub refused_labels: u64,
    /// Labels whose value was cut to [`MAX_VALUE_BYTES`](crate::labels::MAX_VALUE_BYTES).
    pub cut_labels: u64,
    /// Samples without their labels: seven eighths of [`Limits::buckets`](crate::Limits::buckets) are used, and new labels of a
    /// stack are counted with its others. Totals include them.
    pub mixed_labels: u64,
    /// Entries of [`Profile`](crate::Profile)s of one's own without their stack, because
    /// [`Limits::custom_stacks`](crate::Limits::custom_stacks) was reached or the system gave no memory. Counts include them.
    pub folded_entries: u64,
}

impl ProfilerStats {
    pub(crate) fn read() -> Self {
        let (counters, delta) = (record::counters(), record::delta());
        let labels = labels::counters();
        Self {
            unwinder: stack::walker(delta),
            unwind_table_bytes: delta.bytes(),
            mean_depth: mean_depth(),
            buckets: counters.buckets,
            live_records: counters.live_records,
            memory_bytes: counters.memory + labels.memory,
            truncated_stacks: counters.truncated_samples.saturating_sub(delta.stopped()),
            stopped_stacks: delta.stopped(),
            mixed_sizes: counters.mixed_sizes,
            folded_bucket_limit: counters.bucket_limit,
            folded_live_limit: counters.live_limit,
            folded_no_memory: counters.no_memory,
            nested: counters.nested,
            stale: counters.stale,
            label_sets: labels.sets,
            dropped_labels: labels.dropped,
            refused_labels: labels.refused,
            cut_labels: labels.cut,
            mixed_labels: counters.labels,
            folded_entries: counters.entries,
        }
    }

    /// A sentence for each thing that was lost, for the profile's comment.
    pub(super) fn losses(&self) -> Vec<String> {
        let losses = [
            (
                self.truncated_stacks,
                "stacks were deeper than the limit and lack their root",
            ),
            (
                self.stopped_stacks,
                "stacks ended before their root: code without unwind data",
            ),
            (
                self.mixed_sizes,
                "samples lack their object size, stacks and totals are kept: near the limit on buckets",
            ),
            (
                self.folded_bucket_limit,
                "samples are folded into [over limit]: the limit on buckets",
            ),
            (
                self.folded_live_limit,
                "samples are missing from in-use: the limit on live records",
            ),
            (
                self.folded_no_memory,
                "samples are folded into [over limit]: no memory for the profiler",
            ),
            (
                self.nested,
                "allocations inside the profiler could not be sampled",
            ),
            (self.stale, "sampled blocks were freed past the allocator"),
            (
                self.dropped_labels,
                "scopes ran without their labels: the limit on sets of labels",
            ),
            (
                self.refused_labels,
                "labels were left out: a key that is empty, too long or the profiler's own, or too many at a time",
            ),
            (self.cut_labels, "values of labels were cut: too long"),
            (
                self.mixed_labels,
                "samples lack their labels, stacks and totals are kept: near the limit on buckets",
            ),
        ];
        losses
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, loss)| format!("{count} {loss}"))
            .collect()
    }
}

fn mean_depth() -> usize {
    // Wider than the counts, whose product with a depth may not fit them.
    let (frames, stacks) = record::buckets().fold((0, 0), |(frames, stacks), bucket| {
        let allocs = u128::from(bucket.counts().0);
        let depth = stack::places(bucket.frames()).count() as u128;
        (frames + depth * allocs, stacks + allocs)
    });
    frames.checked_div(stacks).unwrap_or(0) as usize
}
