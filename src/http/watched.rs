//! What the watcher remembers: growth since a moment, the peak, what leaks.

use std::time::Duration;

use super::catalog::Watched;
use super::duration;
use super::form::Form;
use super::labels::Labels;
use super::profiles::{Asked, written};
use super::response::Response;
use crate::error::Error;
use crate::profile::{DefaultSampleType, HeapProfile, Pieces};
use crate::watch;

/// The growth of a memory profile since `age` ago.
pub(super) fn since(
    name: &str,
    default: DefaultSampleType,
    age: Duration,
    asked: &Asked<'_>,
) -> Result<Response, Response> {
    let labels = Labels::wanted(asked.query)?;
    for other in ["seconds", "debug", "min_age", "label=age", "rss"] {
        let is_asked = match other {
            "debug" => asked.query.integer(other) != 0,
            "label=age" => labels.age,
            _ => !asked.query.value(other).is_empty(),
        };
        if is_asked {
            let message = format!("since and {other} params are incompatible");
            return Err(Response::refusal(400, &message));
        }
    }
    let form = Form::wanted(asked.query)?;
    let filename = format!("{name}-delta");
    if asked.head_only {
        return Ok(form.response(&filename, Pieces::default()));
    }
    let grown = found(watch::since(age))?;
    let body = written(&grown, &form, default, labels, asked.query)?;
    Ok(form.response(&filename, body))
}

/// The answer for a profile of the watcher's own.
pub(super) fn answer(name: &str, what: Watched, asked: &Asked<'_>) -> Result<Response, Response> {
    let query = asked.query;
    let labels = Labels::wanted(query)?;
    let refused: &[&str] = match what {
        Watched::Peak => &["seconds", "since", "min_age", "rss", "label=age"],
        Watched::Leaks => &["seconds", "min_age", "rss", "label=age"],
    };
    let is_asked = |param: &&&str| match **param {
        "label=age" => labels.age,
        param => !query.value(param).is_empty(),
    };
    if let Some(param) = refused.iter().find(is_asked) {
        let message =
            format!("{name} takes no {param} param: it is about one moment or time of its own");
        return Err(Response::refusal(400, &message));
    }
    let form = Form::wanted(query)?;
    let is_text = query.integer("debug") != 0;
    let since = duration::wanted(query, "since")?;
    if asked.head_only {
        return Ok(match is_text {
            true => Response::text(Pieces::default()),
            false => form.response(name, Pieces::default()),
        });
    }
    match what {
        Watched::Peak => {
            let peak = watch::peak().map_err(failed)?;
            if is_text {
                return Ok(Response::text(peak.to_text(labels.of_type)));
            }
            let body = written(&peak, &form, DefaultSampleType::Unset, labels, query)?;
            Ok(form.response(name, body))
        }
        Watched::Leaks => {
            let leaks = watch::leaks(since).map_err(failed)?;
            if is_text {
                return Ok(Response::text(Pieces::of(leaks.to_string().as_bytes())));
            }
            let profile = leaks.profile().ok_or_else(|| failed(Error::NoMemory))?;
            let body = written(&profile, &form, DefaultSampleType::LeakSpace, labels, query)?;
            Ok(form.response(name, body))
        }
    }
}

fn found(profile: Result<Option<HeapProfile>, Error>) -> Result<HeapProfile, Response> {
    profile
        .map_err(failed)?
        .ok_or_else(|| Response::busy("the watch has only just begun; try again in a second"))
}

fn failed(error: Error) -> Response {
    match error {
        Error::NotInstalled => Response::refusal(503, &error.to_string()),
        _ => Response::refusal(500, &format!("failed to collect profile: {error}")),
    }
}
