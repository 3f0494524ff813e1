//! A profile's answer: a snapshot, its text form, or the growth over some seconds.

use std::time::Duration;

use super::catalog::Source;
use super::delta;
use super::limits::RouteLimits;
use super::previous;
use super::query::Query;
use super::response::Response;
use crate::error::Error;
use crate::profile::{self, DefaultSampleType, HeapProfile, Pieces, PprofView};

/// What is asked of a profile.
pub(super) struct Asked<'a> {
    pub(super) query: Query<'a>,
    /// Only headers are wanted: nothing is captured, and nothing waits.
    pub(super) head_only: bool,
}

/// The answer for the profile `name`; the error is an answer as well. `gc` is accepted and without effect.
pub(super) fn answer(
    name: &str,
    source: Source,
    asked: &Asked<'_>,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Result<Response, Response> {
    let query = asked.query;
    if matches!(source, Source::Memory(_)) && previous::is_wanted(query)? {
        return previous::answer(name, query, asked.head_only);
    }
    let length = delta::wanted(query, limits)?;
    let is_text = query.integer("debug") != 0;
    let symbolize = query.value("symbolize") != "0";
    let body = match length {
        _ if asked.head_only => Pieces::default(),
        None if is_text => text(source)?,
        None => snapshot(source, symbolize)?,
        Some(length) => growth(source, symbolize, length, gone, limits)?,
    };
    Ok(match length {
        None if is_text => Response::text(body),
        None => Response::profile(name, body),
        Some(_) => Response::profile(&format!("{name}-delta"), body),
    })
}

fn text(source: Source) -> Result<Pieces, Response> {
    match source {
        Source::Memory(_) => Ok(capture()?.to_text()),
        Source::Nowhere(shape) => Ok(Pieces::of(shape.text.as_bytes())),
    }
}

fn snapshot(source: Source, symbolize: bool) -> Result<Pieces, Response> {
    match source {
        Source::Memory(default) => Ok(capture()?.to_pprof(view(default, symbolize))),
        Source::Nowhere(shape) => Ok(empty(shape.sample_types, None)),
    }
}

fn growth(
    source: Source,
    symbolize: bool,
    length: Duration,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Result<Pieces, Response> {
    match source {
        Source::Memory(default) => {
            let earlier = delta::across(length, gone, limits, capture)?;
            Ok(capture()?
                .since(&earlier)
                .to_pprof(view(default, symbolize)))
        }
        Source::Nowhere(shape) => {
            delta::across(length, gone, limits, || Ok(()))?;
            Ok(empty(shape.sample_types, Some(length)))
        }
    }
}

fn capture() -> Result<HeapProfile, Response> {
    HeapProfile::capture().map_err(|error| match error {
        Error::NotInstalled => Response::refusal(503, &error.to_string()),
        _ => Response::refusal(500, &format!("failed to collect profile: {error}")),
    })
}

fn view(default_sample_type: DefaultSampleType, symbolize: bool) -> PprofView {
    PprofView {
        default_sample_type,
        symbolize,
    }
}

fn empty(sample_types: &[(&str, &str)], duration: Option<Duration>) -> Pieces {
    let period_type = sample_types.first().copied().unwrap_or_default();
    profile::empty_pprof(sample_types, period_type, 1, duration)
}
