//! The sampled blocks that are alive, each with its age.

use core::time::Duration;

use super::birth::Now;
use super::payload::Payload;
use super::{Bucket, RECORD};

/// A sampled block that is alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveRecord {
    /// None if a limit has folded it.
    pub(crate) bucket: Option<&'static Bucket>,
    /// Since it was allocated or, if that came later, reallocated. Too short by less than a tenth of a second, and too
    /// long by 10 ms at most.
    pub(crate) age: Duration,
}

/// All sampled blocks that are alive, in no particular order. Some 5 ns each; no thread is stopped and none waits.
///
/// Read while blocks come and go: one that does meanwhile may or may not be there, and so may one that is inside the inner
/// allocator's `realloc`. Ages are those at the call.
pub(crate) fn live_records() -> impl Iterator<Item = LiveRecord> {
    let now = Now::read();
    RECORD.live.records().map(move |shown| {
        let bucket = match Payload::unpack(shown.payload) {
            Payload::Bucket(bucket) | Payload::Mixed(bucket) => Some(bucket),
            Payload::Folded { .. } => None,
        };
        let age = now.map_or(Duration::ZERO, |now| shown.birth.age(now));
        LiveRecord { bucket, age }
    })
}
