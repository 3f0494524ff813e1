//! skeleton
#[cfg(not(all(unix, target_pointer_width = "64")))]
compile_error!("debug-pprof needs a 64-bit Unix; it is built and tested on x86_64 Linux");

mod allocator;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod limits;
mod profile;
mod record;
mod scale;
mod stack;

pub use allocator::ProfiledAllocator;
pub use error::Error;
#[cfg(feature = "http")]
pub use http::{serve, serve_from_env};
pub use limits::Limits;
pub use profile::{HeapProfile, HeapRecord, HeapValues, MemStats, ProfilerStats, mem_stats};

/// The default of [`ProfiledAllocator::sample_every`], Go's: one sample per 512 KiB allocated on average.
///
/// Half of it doubles the samples, their cost and their memory, and takes a profile's error down by √2.
pub const DEFAULT_SAMPLE_RATE: usize = 512 * 1024;

/// The sampling rate in force: mean bytes between samples, 1 if everything is sampled, 0 if nothing is or if no
/// [`ProfiledAllocator`] is installed.
pub fn sample_rate() -> usize {
    profile::report_bad_environment();
    record::sample_rate().unwrap_or(0)
}

/// Sets the sampling rate for all threads, from their next allocation on: 0 stops new samples, 1 samples everything.
///
/// Safe at any time: what was sampled before keeps the scale of the rate that it was sampled at, and the frees of
/// blocks sampled before are still counted. Rates above 16 GiB are taken as 16 GiB. Without a [`ProfiledAllocator`]
/// nothing happens.
pub fn set_sample_rate(bytes: usize) {
    profile::report_bad_environment();
    record::set_sample_rate(bytes);
}
