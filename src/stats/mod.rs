//! Numbers about the process: [`mem_stats`](crate::mem_stats), and the same as metrics; the allocator's own view of its
//! memory.
//!
//! The room asks `profile`, and reads `/proc` and the cgroup's files, one file for each source.
//!
//! ```text
//!  /proc, cgroup, allocator, profile ─▶ mem_stats ─▶ definitions (one table) ─▶ text: 0.0.4, OpenMetrics
//!                                                                ─▶ other crates' registries
//! ```

mod allocator_view;
mod cgroup;
#[cfg(feature = "prometheus-client")]
mod collector;
mod definitions;
#[cfg(feature = "metrics")]
pub mod facade;
mod glibc;
#[cfg(feature = "jemalloc")]
mod jemalloc;
mod mem_stats;
#[cfg(feature = "mimalloc")]
mod mimalloc;
mod process;
mod text;

pub use self::allocator_view::{
    AllocatorView, ViewedAllocator, allocator_view, set_allocator_view,
};
pub use self::cgroup::CgroupStats;
#[cfg(feature = "prometheus-client")]
pub use self::collector::Collector;
pub use self::glibc::Glibc;
#[cfg(feature = "jemalloc")]
pub use self::jemalloc::Jemalloc;
pub use self::mem_stats::{MemStats, mem_stats};
#[cfg(feature = "mimalloc")]
pub use self::mimalloc::Mimalloc;
pub use self::process::ProcessStats;
pub use self::text::{Format, render};
