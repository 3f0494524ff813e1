//! Sees to it that the unwinder has tables of what is loaded: asked whenever a profile is taken or a server starts.

#[cfg(feature = "http")]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "http")]
use std::thread;
#[cfg(feature = "http")]
use std::time::{Duration, Instant};

use super::own_thread::on_own_thread;
use super::{all_mappings, bare_thread};
use crate::record::{self, Suspended};

/// Bytes of stack of the thread that makes them; address space, not memory.
const STACK: usize = 2 << 20;

/// Has the tables brought up to date, on a thread of their own, if something was loaded or unloaded. Does not wait: until
/// they are ready, stacks that need them are walked the slow way.
pub(crate) fn refresh() {
    if record::sample_rate().is_none() || !record::delta().is_stale() {
        return;
    }
    let _own = Suspended::new();
    start();
}

fn start() {
    // What is sampled in a library from now on can be told apart from what may take its place.
    let _ = all_mappings();
    // Without a thread to spare the next profile tries again.
    bare_thread::run_alone(STACK, || {
        on_own_thread(c"debug-pprof-cfi", || record::delta().refresh());
    });
}

/// How long who walks other threads' stacks waits for tables: 30 MiB of text, 750 KiB in a build without optimization.
#[cfg(feature = "http")]
const PATIENCE: Duration = Duration::from_secs(2);

/// The same, also without the allocator, and waits until they are ready, within a limit: a handler has not the room to walk
/// without them.
#[cfg(feature = "http")]
pub(crate) fn refresh_now() {
    /// A process in which they were waited for in vain, as in a child that was forked while its parent made them. Relaxed: the
    /// number alone says it.
    static IN_VAIN: AtomicU64 = AtomicU64::new(0);
    let process = record::process();
    if IN_VAIN.load(Ordering::Relaxed) == process {
        return;
    }
    let _own = Suspended::new();
    let delta = record::delta();
    if delta.is_stale() {
        start();
    }
    let began = Instant::now();
    while delta.is_refreshing() || (delta.is_stale() && began.elapsed() < PATIENCE / 8) {
        if began.elapsed() >= PATIENCE {
            IN_VAIN.store(process, Ordering::Relaxed);
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
