//! `mem_stats`: what can be known about the process's memory in one call.

use super::allocator_view::{AllocatorView, allocator_view};
use super::cgroup::CgroupStats;
use super::process::ProcessStats;
use crate::profile::{self, HeapValues, ProfilerStats, Status, Summary};
use crate::record::{self, ExactCounts, Suspended};

/// The counterpart of Go's `runtime.MemStats`: what Rust can know of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemStats {
    /// Allocated since the start and in use now, estimated from the samples.
    pub heap: HeapValues,
    /// One standard error of `heap.inuse_space`, in bytes: with two chances in three the truth is no further off.
    pub inuse_space_error: f64,
    /// Allocated and freed, exactly; None unless it is counted, see [`exact_counts`](crate::exact_counts).
    pub exact: Option<ExactCounts>,
    /// Mean bytes between samples; 0 is off.
    pub sample_rate: usize,
    /// Samples taken since the start.
    pub samples: u64,
    /// Physical memory of the process in bytes, what operators alert on; None where there is no `/proc`.
    pub resident_bytes: Option<u64>,
    /// The most that it has been.
    pub peak_resident_bytes: Option<u64>,
    /// Address space in bytes.
    pub virtual_bytes: Option<u64>,
    /// The inner allocator's name and what it says of its memory; None if it is not known, see
    /// [`stats::allocator_view`](crate::stats::allocator_view).
    pub allocator: Option<(&'static str, AllocatorView)>,
    /// Threads, descriptors, CPU time.
    pub process: ProcessStats,
    /// Memory of the container; None without cgroup v2.
    pub cgroup: Option<CgroupStats>,
    /// The profiler's own state.
    pub profiler: ProfilerStats,
    /// Whether anything is counted at all: without an allocator of ours every count is 0, and means nothing.
    pub(super) is_installed: bool,
}

/// Reads the process's memory statistics. Takes about 50 ns a bucket, and some ten small reads of `/proc` and of the
/// cgroup's files.
///
/// Without a [`ProfiledAllocator`](crate::ProfiledAllocator) all that is counted is 0, the rate too.
pub fn mem_stats() -> MemStats {
    profile::report_bad_environment();
    let _own = Suspended::new();
    // Not of a profile, for which there may be no memory.
    let heap = Summary::now();
    let status = Status::read();
    MemStats {
        heap: heap.total,
        inuse_space_error: heap.inuse_space_error,
        exact: record::exact_counts(),
        sample_rate: heap.sample_rate,
        samples: heap.samples,
        resident_bytes: status.resident_bytes,
        peak_resident_bytes: status.peak_resident_bytes,
        virtual_bytes: status.virtual_bytes,
        allocator: allocator_view(),
        process: ProcessStats::read(status.threads),
        cgroup: CgroupStats::read(),
        profiler: ProfilerStats::read(),
        is_installed: record::sample_rate().is_some(),
    }
}
