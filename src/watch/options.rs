//! How the process is watched, as values a user can set.

use std::time::Duration;

/// How the process is watched over time: what `heap?since=`, `/leaks` and `/peakheap` are made of.
///
/// ```
/// use debug_pprof::{WatchOptions, watch};
/// use std::time::Duration;
///
/// watch(WatchOptions { period: Duration::from_secs(30), ..WatchOptions::DEFAULT })?;
/// # Ok::<(), debug_pprof::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchOptions {
    /// Time between two snapshots of the counts. Each is kept for 61 periods, and one of ten for a day's worth, 1 440
    /// periods. Leaks are judged from 10 periods on. Half of it finds leaks no sooner, which takes samples, not snapshots.
    /// At least a millisecond.
    pub period: Duration,
    /// Bytes of the history at most. Over it the oldest snapshots go, and `/leaks` says so. A snapshot costs four to six
    /// bytes for each (stack, size, rate) that was active since the one before.
    pub history_bytes: usize,
}

impl WatchOptions {
    /// One a minute for an hour, one for ten minutes for a day, 8 MiB.
    pub const DEFAULT: WatchOptions = WatchOptions {
        period: Duration::from_secs(60),
        history_bytes: 8 << 20,
    };
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
