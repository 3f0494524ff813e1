//! Numbers about the process: [`mem_stats`](crate::mem_stats), and the same as metrics.
//!
//! The room asks `profile`, and reads `/proc` and the cgroup's files, one file for each source.

mod cgroup;
mod mem_stats;
mod process;

pub use self::cgroup::CgroupStats;
pub use self::mem_stats::{MemStats, mem_stats};
pub use self::process::ProcessStats;
