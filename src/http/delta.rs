//! `?seconds=N`: whether a delta is wanted and allowed, and the wait between its two snapshots.

use std::thread;
use std::time::Duration;

use super::deadline::Deadline;
use super::limits::RouteLimits;
use super::query::Query;
use super::response::Response;
use super::slots::Permit;

/// How often a waiting delta looks whether its client is still there. Halved, an idle delta wakes the processor
/// twice as often; doubled, shutting down takes twice as long.
const POLL: Duration = Duration::from_millis(200);

/// The length of the delta that `query` asks for; `None` for a plain profile. The checks are Go's, in its order,
/// with our limit as the last.
pub(super) fn wanted(query: Query<'_>, limits: &RouteLimits) -> Result<Option<Duration>, Response> {
    let Some(seconds) = seconds(query)? else {
        return Ok(None);
    };
    if query.integer("debug") != 0 {
        let message = "seconds and debug params are incompatible";
        return Err(Response::refusal(400, message));
    }
    within_limit(seconds, limits).map(Some)
}

/// So many seconds, if one may wait as long.
pub(super) fn within_limit(seconds: u64, limits: &RouteLimits) -> Result<Duration, Response> {
    if seconds <= limits.max_seconds {
        return Ok(Duration::from_secs(seconds));
    }
    let message = format!(
        "\"seconds\" is limited to {} here; ask for less, or raise ServerBuilder::max_seconds",
        limits.max_seconds
    );
    Err(Response::refusal(400, &message))
}

/// One of the places for requests that wait, until it is dropped.
pub(super) fn permit(limits: &RouteLimits) -> Result<Option<Permit>, Response> {
    let slots = limits.deltas.as_ref();
    slots
        .map(|slots| slots.try_take().ok_or_else(too_many))
        .transpose()
}

fn seconds(query: Query<'_>) -> Result<Option<u64>, Response> {
    let value = query.value("seconds");
    if value.is_empty() {
        return Ok(None);
    }
    match value.parse::<i64>() {
        Ok(seconds) if seconds > 0 => Ok(Some(seconds.unsigned_abs())),
        _ => {
            let message = "invalid value for \"seconds\" - must be a positive integer";
            Err(Response::refusal(400, message))
        }
    }
}

/// Of a profile that has no delta, as Go's own profiles of a program.
pub(super) fn refused(query: Query<'_>) -> Result<Option<Duration>, Response> {
    match seconds(query)? {
        None => Ok(None),
        Some(_) => {
            let message = "\"seconds\" parameter is not supported for this profile type";
            Err(Response::refusal(400, message))
        }
    }
}

/// Runs `before`, waits for `length` and returns what `before` returned, which is all that is held meanwhile.
/// `gone` is asked several times a second whether anybody still wants the answer.
pub(super) fn across<T>(
    length: Duration,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
    before: impl FnOnce() -> Result<T, Response>,
) -> Result<T, Response> {
    let _permit = permit(limits)?;
    let earlier = before()?;
    // From when it is taken: the interval is never shorter than what was asked for.
    let end = Deadline::after(length);
    while let Some(left) = end.left() {
        if gone() {
            let message =
                "the delta was cancelled: the client went away, or the server is stopping";
            return Err(Response::refusal(503, message));
        }
        thread::sleep(left.min(POLL));
    }
    Ok(earlier)
}

fn too_many() -> Response {
    Response::busy(
        "too many requests with \"seconds\" are waiting; try again when one has ended, leave \"seconds\" out, \
         or raise ServerBuilder::max_connections (half of the connections may wait)",
    )
}
