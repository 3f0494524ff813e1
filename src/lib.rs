//! Go's `/debug/pprof` for Rust services: an always-on sampling heap profiler for any global allocator, read with
//! `go tool pprof`, Parca, Pyroscope and whatever else reads a Go service's profiles.
//!
#![cfg_attr(feature = "http", doc = "```no_run")]
#![cfg_attr(not(feature = "http"), doc = "```ignore")]
//! #[global_allocator]
//! static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();
//!
//! fn main() -> Result<(), debug_pprof::Error> {
//!     debug_pprof::serve("127.0.0.1:6060")?;
//!     // the service
//!     Ok(())
//! }
//! ```
//!
//! The README shows the way from "memory grows" to the line that leaks. Here is what the items are for:
//!
//! | item | what for |
//! |---|---|
//! | [`ProfiledAllocator`] | wraps the global allocator and samples it |
//! | [`serve`], [`serve_from_env`], [`http::Server`] | serve profiles on a socket |
//! | [`http::respond`] | serve them from one's own router |
//! | [`HeapProfile`] | take, compare and write profiles without HTTP; of what is old, or by [`AgeClass`] |
//! | [`labels`] | say which tenant, route or job an allocation is for |
//! | [`task`] | futures that are tracked: at which `.await` each of them waits |
//! | [`Profile`] | count what is alive of one's own things, by the stack that made it |
//! | [`watch`], [`WatchOptions`] | watch the process over time: growth, leaks, the peak |
//! | [`sample_rate`], [`set_sample_rate`] | the rate, at any time |
//! | [`mem_stats`] | totals, their error, resident memory, and the profiler's own state |
//! | [`exact_counts`] | everything allocated and freed, counted |
//! | [`stats`] | the allocator's own view |
//! | [`Limits`] | bounds on what is kept |
//!
//! # What a profile does not show
//!
//! It shows what Rust code asks of the global allocator. Not in it: memory that C code takes with `malloc`, `mmap`,
//! thread stacks, what the allocator keeps after a free, and the rounding up of sizes. What the profiler allocates for
//! itself is left out too. A zero in `inuse_space` says that no *sampled* object of that stack is alive: at the default
//! rate a stack that holds a few kilobytes is seldom sampled at all.
//!
//! # Words
//!
//! * **sample**: an allocation that was chosen and recorded. About one for each *rate* bytes.
//! * **rate**: mean bytes between samples, Go's `MemProfileRate`. 0 is off, 1 samples everything.
//! * **stack**: return addresses from the allocator's caller (the **leaf**) to the thread's start (the **root**).
//! * **bucket**: the counts of one (stack, size, rate, labels).
//! * **live record**: remembers that the block at an address was sampled, until it is freed.
//! * **age**: time since a sampled block was allocated or last reallocated.
//! * **alloc**, **free**, **in use**: allocated since the start; freed since; the difference.
//! * **estimate**: sampled counts times the **scale** 1 / (1 − e^(−size/rate)).
//! * **fold**: add to an entry that stands for many, where a limit leaves no room for one of its own.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `http` | yes | the endpoint; adds `httparse` |
//! | `symbolize` | yes | names in profiles; without it all are `binary+0xoffset` |
//! | `jemalloc`, `mimalloc` | no | the allocator's own view of its memory in [`stats`]; each adds the `-sys` crate of that allocator |
//! | `tokio`, `tower` | no | [`task`] for tokio's own `spawn`, and a layer of tower's |
//! | `metrics`, `prometheus-client` | no | the metrics in a registry of one's own |
//! | `tiny_http` | no | an adapter in `http::tiny_http` for services that run tiny_http 0.12 |
//!
//! [`http::Server`]: crate::http::Server
//! [`http::respond`]: crate::http::respond

#![deny(rustdoc::broken_intra_doc_links)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "debug-pprof needs 64-bit Linux: /proc, the loader's list of objects, MADV_WIPEONFORK"
);

mod allocator;
mod custom;
mod cut;
mod elementary;
mod error;
mod fork_lock;
#[cfg(feature = "http")]
pub mod http;
pub mod labels;
mod limits;
mod memory_groups;
mod pages;
mod profile;
mod record;
mod scale;
#[cfg(feature = "http")]
mod signal;
mod stack;
pub mod stats;
#[cfg(feature = "http")]
pub mod task;
mod watch;
// What the integration tests make requests of, for the unit tests too.
#[cfg(all(test, feature = "http"))]
#[path = "../tests/mutations/mod.rs"]
mod mutations;
// The checks of the statistical tests, for the unit tests too.
#[cfg(test)]
#[path = "../tests/statistics/mod.rs"]
mod statistics;

pub use allocator::ProfiledAllocator;
pub use custom::{Profile, ProfileEntry};
pub use error::Error;
#[cfg(feature = "http")]
pub use http::{serve, serve_from_env};
pub use limits::Limits;
pub use profile::{AgeClass, HeapProfile, HeapRecord, HeapValues, ProfilerStats};
pub use record::ExactCounts;
pub use stats::{CgroupStats, MemStats, ProcessStats, mem_stats};
pub use watch::{
    BlackBox, BlackBoxBuilder, DEFAULT_DUMP_BYTES, DEFAULT_DUMPS_KEPT, DEFAULT_PRESSURE,
    DEFAULT_SHARE_OF_LIMIT,
};
#[cfg(feature = "http")]
pub use watch::{WatchOptions, watch};

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

/// What has been allocated and freed since the start, exactly; None unless
/// [`ProfiledAllocator::count_exactly`] says that it is counted.
///
/// Everything that went through the allocator is counted, the profiler's own allocations included, on all threads and
/// before `main` too; in a fork child, what its parent had counted is where it starts. A `realloc` is an allocation and a
/// free. Blocks that C frees past the allocator stay in use. What is missed: threads that end by the bare system call and
/// not by returning, and fork children made by the bare system call, lose what they have counted. What is too much: a
/// request below the distance to the next sample that the inner allocator refuses, counted as if it had been granted.
///
/// Costs about 0.3 µs a thread, and threads that end meanwhile wait for it. Not for signal handlers.
pub fn exact_counts() -> Option<ExactCounts> {
    record::exact_counts()
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

/// How the crate works and why, with what was measured.
#[cfg(doc)]
#[doc = include_str!("design.md")]
pub mod design {}

/// The README's Rust blocks, as tests.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
