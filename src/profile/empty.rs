//! Profiles of what Rust has no counterpart for: valid, and empty.
#![cfg(feature = "http")]

use std::time::{Duration, SystemTime};

use super::encoder::Encoder;
use super::mappings::Mappings;
use super::pieces::Pieces;
use super::pprof::{frames_of, nanos, nanos_since_epoch};
use super::proto;
use super::tables::{Form, Tables};
use crate::record::Suspended;

/// A gzipped profile with these `(type, unit)` sample types and no samples; `duration` is that of a delta.
pub(crate) fn empty_pprof(
    sample_types: &[(&str, &str)],
    period_type: (&str, &str),
    period: i64,
    duration: Option<Duration>,
) -> Pieces {
    let _own = Suspended::new();
    let mappings = Mappings::read();
    let frames = frames_of(&[], &mappings, false);
    let encoder = Encoder::new(usize::MAX);
    let mut tables = Tables::new(&mappings, Form::Symbolized(&frames), encoder);
    let sample_type = sample_types
        .iter()
        .map(|named| tables.value_type(*named))
        .collect();
    let period_type = Some(tables.value_type(period_type));
    let rest = proto::Profile {
        sample_type,
        period_type,
        period,
        time_nanos: nanos_since_epoch(SystemTime::now()),
        duration_nanos: duration.map_or(0, nanos),
        ..Default::default()
    };
    tables.finish(rest).unwrap_or_default()
}
