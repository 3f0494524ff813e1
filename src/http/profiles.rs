//! A profile's answer: a snapshot, its text form, or the growth over some seconds.

use std::time::Duration;

use super::delta;
use super::duration;
use super::form::Form;
use super::labels::Labels;
use super::limits::RouteLimits;
use super::previous;
use super::query::Query;
use super::response::Response;
use super::watched;
use crate::error::Error;
use crate::profile::{Ages, DefaultSampleType, HeapProfile, Pieces, PprofView};
use crate::stats;

/// Whatever its age.
const ALL: Ages = Ages {
    min_age: None,
    by_class: false,
};

/// What is asked of a profile.
pub(super) struct Asked<'a> {
    pub(super) query: Query<'a>,
    /// Only headers are wanted: nothing is captured, and nothing waits.
    pub(super) head_only: bool,
}

/// The answer for the memory profile `name`; the error is an answer as well. `gc` is accepted and without effect.
pub(super) fn answer(
    name: &str,
    default: DefaultSampleType,
    asked: &Asked<'_>,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Result<Response, Response> {
    let query = asked.query;
    if previous::is_wanted(query)? {
        return previous::answer(name, query, asked.head_only);
    }
    let length = delta::wanted(query, limits)?;
    if let Some(age) = duration::wanted(query, "since")? {
        return watched::since(name, default, age, asked);
    }
    let ages = ages(query, length)?;
    let labels = Labels::wanted(query)?;
    let is_text = query.integer("debug") != 0;
    let with_rss = with_rss(query, ages, is_text || length.is_some())?;
    let form = Form::wanted(query)?;
    let written = |profile: &HeapProfile| written(profile, &form, default, labels, query);
    let body = match length {
        _ if asked.head_only => Pieces::default(),
        None if is_text => capture(ages)?.to_text(labels.of_type),
        None => written(&snapshot(ages, with_rss)?)?,
        Some(length) => {
            let earlier = delta::across(length, gone, limits, || capture(ALL))?;
            written(&capture(ALL)?.since(&earlier))?
        }
    };
    Ok(match length {
        None if is_text => Response::text(body),
        None => form.response(name, body),
        Some(_) => form.response(&format!("{name}-delta"), body),
    })
}

/// Which ages are wanted, and whether apart.
fn ages(query: Query<'_>, length: Option<Duration>) -> Result<Ages, Response> {
    let ages = Ages {
        min_age: duration::wanted(query, "min_age")?,
        by_class: Labels::wanted(query)?.age,
    };
    // Growth would be negative wherever objects have left a class for the next, allocations too, and readers take a profile
    // in which those shrink for a broken one.
    let param = match ages {
        _ if length.is_none() => return Ok(ages),
        Ages {
            min_age: Some(_), ..
        } => "min_age",
        Ages { by_class: true, .. } => "label=age",
        _ => return Ok(ages),
    };
    let message = format!(
        "seconds and {param} params are incompatible: objects grow older meanwhile; take two profiles with {param} and \
         compare them with go tool pprof -diff_base"
    );
    Err(Response::refusal(400, &message))
}

/// Whether all physical memory is asked for.
fn with_rss(query: Query<'_>, ages: Ages, is_text_or_delta: bool) -> Result<bool, Response> {
    match query.value("rss").as_str() {
        "" | "0" => Ok(false),
        "1" if ages == ALL && !is_text_or_delta => Ok(true),
        "1" => Err(Response::refusal(
            400,
            "rss=1 is for a whole profile of a moment, as in heap?rss=1: not with seconds, debug, min_age or label=age",
        )),
        other => {
            let text = format!("rss is {other:?}, and may be 0 or 1, as in heap?rss=1");
            Err(Response::refusal(400, &text))
        }
    }
}

fn snapshot(ages: Ages, with_rss: bool) -> Result<HeapProfile, Response> {
    let profile = capture(ages)?;
    if !with_rss {
        return Ok(profile);
    }
    let view = stats::allocator_view().map(|(_, view)| view);
    let unread = || Response::refusal(500, "rss=1 needs /proc/self/smaps");
    profile.with_rss(view).ok_or_else(unread)
}

fn capture(ages: Ages) -> Result<HeapProfile, Response> {
    HeapProfile::capture_ages(ages).map_err(|error| match error {
        Error::NotInstalled => Response::refusal(503, &error.to_string()),
        _ => Response::refusal(500, &format!("failed to collect profile: {error}")),
    })
}

/// A profile in the form that is asked for.
pub(super) fn written(
    profile: &HeapProfile,
    form: &Form,
    default_sample_type: DefaultSampleType,
    labels: Labels,
    query: Query<'_>,
) -> Result<Pieces, Response> {
    Ok(profile.to_pprof(PprofView {
        default_sample_type,
        symbolize: query.value("symbolize") != "0",
        types: labels.of_type,
        format: form.of(&profile.sample_types(), default_sample_type.name())?,
    }))
}
