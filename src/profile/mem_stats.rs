//! `mem_stats`: what can be known about the process's memory in one call, and how the profiler itself is doing.

use super::heap::{HeapValues, Summary};
use crate::record::{self, Suspended};
use crate::stack;

/// The counterpart of Go's `runtime.MemStats`: what Rust can know of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemStats {
    /// Allocated since the start and in use now, estimated from the samples.
    pub heap: HeapValues,
    /// One standard error of `heap.inuse_space`, in bytes: with two chances in three the truth is no further off.
    pub inuse_space_error: f64,
    /// Mean bytes between samples; 0 is off.
    pub sample_rate: usize,
    /// Physical memory of the process in bytes, what operators alert on; None where there is no `/proc`.
    pub resident_bytes: Option<u64>,
    /// The most that it has been.
    pub peak_resident_bytes: Option<u64>,
    /// Address space in bytes.
    pub virtual_bytes: Option<u64>,
    /// The profiler's own state.
    pub profiler: ProfilerStats,
}

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
    /// Distinct (stack, size, rate) triples.
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
}

impl ProfilerStats {
    pub(super) fn read() -> Self {
        let (counters, delta) = (record::counters(), record::delta());
        Self {
            unwinder: stack::walker(delta),
            unwind_table_bytes: delta.bytes(),
            mean_depth: mean_depth(),
            buckets: counters.buckets,
            live_records: counters.live_records,
            memory_bytes: counters.memory,
            truncated_stacks: counters.truncated_samples.saturating_sub(delta.stopped()),
            stopped_stacks: delta.stopped(),
            mixed_sizes: counters.mixed_sizes,
            folded_bucket_limit: counters.bucket_limit,
            folded_live_limit: counters.live_limit,
            folded_no_memory: counters.no_memory,
            nested: counters.nested,
            stale: counters.stale,
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

/// Reads the process's memory statistics. Takes about 50 ns a bucket and one read of `/proc/self/status`.
///
/// Without a [`ProfiledAllocator`](crate::ProfiledAllocator) all that is counted is 0, the rate too.
pub fn mem_stats() -> MemStats {
    super::report_bad_environment();
    // Not of a profile, for which there may be no memory.
    MemStats::of(Summary::now())
}

impl MemStats {
    pub(super) fn of(heap: Summary) -> Self {
        let _own = Suspended::new();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':')
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        };
        Self {
            heap: heap.total,
            inuse_space_error: heap.inuse_space_error,
            sample_rate: heap.sample_rate,
            resident_bytes: bytes("VmRSS"),
            peak_resident_bytes: bytes("VmHWM"),
            virtual_bytes: bytes("VmSize"),
            profiler: ProfilerStats::read(),
        }
    }
}
