//! Stage two, outside malloc: snapshot, scale, map, name, encode.

mod heap;

pub use heap::HeapProfile;
pub(crate) use heap::{DefaultSampleType, PprofView};

/// Number of memory buckets, the count that the index page shows.
pub(crate) fn bucket_count() -> usize {
    0
}

/// A valid gzipped profile with these `(type, unit)` sample types and no samples.
pub(crate) fn empty_pprof(_sample_types: &[(&str, &str)], _period_type: (&str, &str), _period: i64) -> Vec<u8> {
    Vec::new()
}

/// The linker (mangled) name of the function that contains `address`, a call address.
pub(crate) fn symbol_name(_address: usize) -> Option<String> {
    None
}

/// Runs `work` with sampling off on this thread: what the profiler allocates for itself is neither sampled nor
/// counted towards the next sample. Frees of sampled blocks are still processed.
pub(crate) fn without_sampling<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Reports, once per process on stderr, the environment variables that hold a value the crate cannot use.
pub(crate) fn report_bad_environment() {}
