//! Rate changes, at any time, whatever the others are doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Off, all, many, and the default.
const RATES: [usize; 4] = [0, 1, 4 << 10, debug_pprof::DEFAULT_SAMPLE_RATE];

/// Long enough for some thousand allocations under each rate.
const PERIOD: Duration = Duration::from_millis(7);

/// Changes the rate until it is told to stop. Returns how often.
pub(crate) fn change(stop: &AtomicBool) -> u64 {
    let mut changes = 0;
    for rate in RATES.into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        debug_pprof::set_sample_rate(rate);
        changes += 1;
        thread::sleep(PERIOD);
    }
    changes
}
