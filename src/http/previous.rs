//! `heap?previous=1`: the last heap profile that an earlier process of this service left on disk.

use super::form::Form;
use super::query::Query;
use super::response::Response;
use crate::profile::Pieces;
use crate::watch::{self, NoPrevious};

/// Whether it is asked for.
///
/// # Errors
/// A 400 for a value that says neither yes nor no, and for what there is no previous one of.
pub(super) fn is_wanted(query: Query<'_>) -> Result<bool, Response> {
    match query.value("previous").as_str() {
        "" | "0" => return Ok(false),
        "1" => {}
        other => {
            let message = format!("previous={other:?}: use previous=1, or leave it out");
            return Err(Response::refusal(400, &message));
        }
    }
    for other in ["seconds", "debug"] {
        if query.integer(other) != 0 {
            let message = format!(
                "previous=1 is a profile as it was written; leave out {other}={}",
                query.value(other)
            );
            return Err(Response::refusal(400, &message));
        }
    }
    if !Form::wanted(query)?.is_pprof() {
        let message = "previous=1 is a profile as it was written: format=pprof, or no format";
        return Err(Response::refusal(400, message));
    }
    Ok(true)
}

/// The profile, from the directory that the process was started with: no part of a path is the client's.
pub(super) fn answer(name: &str, query: Query<'_>, head_only: bool) -> Result<Response, Response> {
    let symbolize = query.value("symbolize") != "0";
    let body = match watch::previous_heap(symbolize) {
        Ok(_) if head_only => Pieces::default(),
        Ok(body) => body,
        Err(NoPrevious::None(reason)) => return Err(Response::refusal(404, &reason)),
        Err(NoPrevious::Unreadable(reason)) => return Err(Response::refusal(500, &reason)),
    };
    Ok(Response::profile(name, body))
}
