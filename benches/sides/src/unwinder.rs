//! Waits for the unwinder that a service has after its first seconds.

use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::{HeapProfile, mem_stats};

/// The unwinder that is waited for.
const BY_TABLES: &str = "stack-delta tables";

/// Asks for a profile, as a service's first scrape does, and waits until the unwinder's tables are there: the name of
/// the unwinder that is in use then. Goes on after five seconds, with whatever there is.
pub fn ready() -> &'static str {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let _ = HeapProfile::capture();
        let unwinder = mem_stats().profiler.unwinder;
        if unwinder == BY_TABLES || Instant::now() > deadline {
            return unwinder;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// As `ready`, but not where instructions are counted (`PROGRAM KIND COUNT`): how often it asks is left to chance.
pub fn ready_unless_counting() {
    if std::env::args().len() != 3 {
        ready();
    }
}
