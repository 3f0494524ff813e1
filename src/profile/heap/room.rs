//! Whether there is memory for a profile.

use super::HeapRecord;
use crate::profile::ages::{Ages, CENSUS_BYTES};
use crate::profile::symbolizer;
use crate::record;

/// What taking and writing a profile takes at most, about. Collections end the process when they cannot grow, and a
/// profile must not be what does it, so it is not begun where the system would not give as much.
pub(super) fn room_for_a_profile(ages: Ages) -> usize {
    let counters = record::counters();
    let records = match ages.by_class {
        // Each part has at least one object, or is what is freed.
        true => counters.buckets * 2 + counters.live_records.min(counters.buckets * 5),
        false => counters.buckets,
    };
    let records = records.saturating_mul(size_of::<HeapRecord>());
    let census = match ages.is_all() {
        true => 0,
        false => counters.buckets.saturating_mul(CENSUS_BYTES),
    };
    // The records of a profile and of what it is compared with, each with room to grow into.
    let records = records.saturating_mul(4);
    // The encoder's tables and its output.
    let written = record::limits().profile_bytes.saturating_mul(2);
    let tables = if record::delta().is_stale() {
        ROOM_FOR_TABLES
    } else {
        0
    };
    [written, tables, census, symbolizer::ROOM]
        .into_iter()
        .fold(records, usize::saturating_add)
}

/// Bytes for a copy of the unwind data and for the tables that another thread makes of it meanwhile: the program's and
/// its libraries', of common sizes.
const ROOM_FOR_TABLES: usize = 16 << 20;
