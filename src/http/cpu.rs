//! `/debug/pprof/profile`: the CPU profile over some seconds.

use std::time::Duration;

use super::delta;
use super::form::Form;
use super::limits::RouteLimits;
use super::profiles::Asked;
use super::query::Query;
use super::response::Response;
use crate::profile::{self, CPU_TYPES, DEFAULT_HZ, Pieces};
use crate::signal::cpu::Refused;

/// Go's, for a request that does not say how long, or says nonsense.
const DEFAULT_SECONDS: u64 = 30;

/// Ticks for each second of processor time that may be asked for. The kernel's own clock ticks 100 to 1000 times.
const MOST_HZ: u32 = 1000;

/// The answer; the error is an answer as well.
pub(super) fn answer(
    name: &str,
    asked: &Asked<'_>,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Result<Response, Response> {
    let query = asked.query;
    let length = length(query, limits)?;
    let hz = hz(query)?;
    let form = Form::wanted(query)?;
    // Before it takes its time.
    let format = form.of(&CPU_TYPES.map(|(name, _)| name), "")?;
    if asked.head_only {
        return Ok(form.response(name, Pieces::default()));
    }
    let _permit = delta::permit(limits)?;
    let profile = profile::cpu_profile(length, hz, gone).map_err(refusal)?;
    let symbolize = query.value("symbolize") != "0";
    Ok(form.response(name, profile.to_form(format, symbolize)))
}

/// As Go reads it, within our limit.
fn length(query: Query<'_>, limits: &RouteLimits) -> Result<Duration, Response> {
    let seconds = match query.value("seconds").parse::<i64>() {
        Ok(seconds) if seconds > 0 => seconds.unsigned_abs(),
        _ => DEFAULT_SECONDS.min(limits.max_seconds),
    };
    delta::within_limit(seconds, limits)
}

/// Go has no such parameter.
fn hz(query: Query<'_>) -> Result<u32, Response> {
    let value = query.value("hz");
    if value.is_empty() {
        return Ok(DEFAULT_HZ);
    }
    let hz = value.parse().ok();
    hz.filter(|hz| (1..=MOST_HZ).contains(hz)).ok_or_else(|| {
        let message = format!(
            "invalid value for \"hz\" - must be a whole number from 1 to {MOST_HZ}, as in profile?seconds=5&hz=250"
        );
        Response::refusal(400, &message)
    })
}

fn refusal(refused: Refused) -> Response {
    let reason = match refused {
        Refused::Busy => "cpu profiling already in use",
        Refused::Handled => {
            "the program has a handler for SIGPROF of its own (another CPU profiler?), which is left alone; stop that one, \
             and have it give the signal back (SIG_DFL)"
        }
        Refused::Ignored => {
            "the program ignores SIGPROF, or has inherited that; have it set the signal to SIG_DFL at its start"
        }
        Refused::IntervalTimer => {
            "a profiling timer of the program's own runs (setitimer with ITIMER_PROF, another CPU profiler?), which is left \
             alone; stop that one first"
        }
        Refused::NoTimers => {
            "the system has no timer for any thread (timer_create is forbidden, or RLIMIT_SIGPENDING is used up); use \
             `perf record -g -p PID`"
        }
        Refused::NoWalk => {
            let message = "Could not enable CPU profiling: stacks are walked on x86-64 Linux with glibc only; use `perf \
                           record -g -p PID` or an eBPF profiler, and take process_cpu (/debug/pprof/profile) out of the \
                           scraper's configuration";
            return Response::refusal(501, message);
        }
        Refused::NoMemory => "the system has no memory for it",
        Refused::Cancelled => {
            let message =
                "the profile was cancelled: the client went away, or the server is stopping";
            return Response::refusal(503, message);
        }
    };
    Response::refusal(500, &format!("Could not enable CPU profiling: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_as_go_reads_them_and_hz_strictly() {
        let limits = RouteLimits::default();
        for (raw, expected) in [
            ("", Ok(30)),
            ("seconds=5", Ok(5)),
            ("seconds=0", Ok(30)),
            ("seconds=-1", Ok(30)),
            ("seconds=abc", Ok(30)),
            ("seconds=1.5", Ok(30)),
            ("seconds=99999999999999999999", Ok(30)),
            ("seconds=3600", Ok(3600)),
            ("seconds=3601", Err(400)),
        ] {
            let length = length(Query::new(raw), &limits);
            let length = length.map(|length| length.as_secs());
            assert_eq!(length.map_err(|refusal| refusal.status), expected, "{raw}");
        }
        let few = RouteLimits {
            max_seconds: 5,
            ..RouteLimits::default()
        };
        assert_eq!(length(Query::new(""), &few), Ok(Duration::from_secs(5)));
        for (raw, expected) in [
            ("", Ok(100)),
            ("hz=1", Ok(1)),
            ("hz=1000", Ok(1000)),
            ("hz=0", Err(400)),
            ("hz=1001", Err(400)),
            ("hz=-5", Err(400)),
            ("hz=1.5", Err(400)),
            ("hz=abc", Err(400)),
            ("hz=4294967297", Err(400)),
        ] {
            let hz = hz(Query::new(raw)).map_err(|refusal| refusal.status);
            assert_eq!(hz, expected, "{raw}");
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (refused, status, part) in [
            (Refused::Busy, 500, "cpu profiling already in use\n"),
            (Refused::Handled, 500, "SIG_DFL"),
            (Refused::Ignored, 500, "SIG_DFL"),
            (Refused::IntervalTimer, 500, "ITIMER_PROF"),
            (Refused::NoTimers, 500, "perf record"),
            (Refused::NoWalk, 501, "perf record"),
            (Refused::NoMemory, 500, "memory"),
            (Refused::Cancelled, 503, "cancelled"),
        ] {
            let refusal = refusal(refused);
            let body = String::from_utf8(refusal.body).unwrap();
            assert!(refusal.status == status && body.contains(part), "{body}");
        }
    }
}
