//! How much may leak in all, so that the example can be left running.
//!
//! The cap is a number of rounds of the load generator, so that any two runs end with the same blocks alive and can be
//! compared with `-diff_base`.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::load::ROUNDS_PER_TICKER;
use crate::previews::PICTURE_BYTES;
use crate::requests::PAGE_BYTES;
use crate::tickers::HISTORY_BYTES;

/// What the load leaks from one ticker to the next.
const TURN_BYTES: usize = ROUNDS_PER_TICKER as usize * (PAGE_BYTES + PICTURE_BYTES) + HISTORY_BYTES;

pub(crate) struct LeakCap {
    /// Requests with a larger number do not leak.
    rounds: u64,
    /// What those rounds leak, which also bounds requests that somebody else repeats.
    limit: usize,
    used: AtomicUsize,
}

impl LeakCap {
    /// A cap of `bytes`, rounded up to whole turns.
    pub(crate) fn new(bytes: usize) -> LeakCap {
        let turns = bytes.div_ceil(TURN_BYTES);
        LeakCap {
            rounds: turns as u64 * ROUNDS_PER_TICKER,
            limit: turns * TURN_BYTES,
            used: AtomicUsize::new(0),
        }
    }

    /// Whether request `id` may leak `bytes`; counts them if so.
    pub(crate) fn take(&self, id: u64, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|&used| used <= self.limit);
        id < self.rounds
            && self
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_ok()
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}
