//! Profiles that are counts by stack: a snapshot, its text form, or the growth over some seconds.

use super::delta;
use super::duration;
use super::form::Form;
use super::limits::RouteLimits;
use super::profiles::Asked;
use super::query::Query;
use super::response::Response;
use crate::custom::Registered;
use crate::profile::{self, Pieces, StackProfile};

/// Where a profile's stacks come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum StackSource {
    /// What runs.
    Goroutine,
    /// Tasks that wait in vain.
    GoroutineLeak,
    /// The threads, by what started them.
    ThreadCreate,
    /// The program's own.
    Custom(&'static Registered),
    /// Nowhere: Rust has no counterpart, but the default scrapers ask for it and take a 404 for an outage. With the whole text
    /// form.
    Contention(&'static str),
}

/// The answer for the profile `name`; the error is an answer as well.
pub(super) fn answer(
    name: &str,
    source: StackSource,
    asked: &Asked<'_>,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Result<Response, Response> {
    let query = asked.query;
    let length = match source {
        StackSource::Custom(_) => delta::refused(query)?,
        _ => delta::wanted(query, limits)?,
    };
    let form = Form::wanted(query)?;
    let is_text = query.integer("debug") != 0;
    let symbolize = query.value("symbolize") != "0";
    let written = |profile: &StackProfile| {
        let format = form.of(&profile.sample_types(), "")?;
        Ok(profile.to_form(format, symbolize))
    };
    let body = match length {
        _ if asked.head_only => Pieces::default(),
        None if is_text => text(source, query)?,
        None => written(&collect(source, query)?)?,
        Some(length) => {
            let earlier = delta::across(length, gone, limits, || collect(source, query))?;
            let grown = collect(source, query)?.since(&earlier, length);
            written(&grown)?
        }
    };
    Ok(match length {
        None if is_text => Response::text(body),
        None => form.response(name, body),
        Some(_) => form.response(&format!("{name}-delta"), body),
    })
}

fn collect(source: StackSource, query: Query<'_>) -> Result<StackProfile, Response> {
    Ok(match source {
        StackSource::Goroutine => profile::goroutines(),
        StackSource::GoroutineLeak => profile::leaked_tasks(duration::wanted(query, "min_age")?),
        StackSource::ThreadCreate => profile::thread_creations(),
        StackSource::Custom(registered) => registered.stacks(),
        StackSource::Contention(_) => {
            let types = [("contentions", "count"), ("delay", "nanoseconds")];
            StackProfile::new(&types, types[0], 1)
        }
    })
}

fn text(source: StackSource, query: Query<'_>) -> Result<Pieces, Response> {
    match source {
        StackSource::Contention(text) => Ok(Pieces::of(text.as_bytes())),
        StackSource::Goroutine if query.integer("debug") >= 2 => Ok(profile::goroutine_dump()),
        StackSource::GoroutineLeak if query.integer("debug") >= 2 => {
            Ok(profile::leak_dump(duration::wanted(query, "min_age")?))
        }
        _ => Ok(collect(source, query)?.to_text()),
    }
}
