//! Numbers about the process: [`mem_stats`](crate::mem_stats), and the same as metrics.
//!
//! The room asks `profile`, and reads `/proc` and the cgroup's files, one file for each source.

//!
//! ```text
//!  /proc, cgroup, profile ─▶ mem_stats ─▶ definitions (one table) ─▶ text: 0.0.4, OpenMetrics
//!                                                                ─▶ other crates' registries
//! ```

mod cgroup;
#[cfg(feature = "prometheus-client")]
mod collector;
mod definitions;
#[cfg(feature = "metrics")]
pub mod facade;
mod mem_stats;
mod process;
mod text;

pub use self::cgroup::CgroupStats;
#[cfg(feature = "prometheus-client")]
pub use self::collector::Collector;
pub use self::mem_stats::{MemStats, mem_stats};
pub use self::process::ProcessStats;
pub use self::text::{Format, render};
