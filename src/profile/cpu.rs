//! The CPU profile: Go's, of ticks.

use std::time::Duration;

use super::stacks::StackProfile;
use super::unwind_tables;
use crate::labels;
use crate::record::Suspended;
use crate::signal::cpu::{self, Refused, Report};

/// Go's rate.
pub(crate) const DEFAULT_HZ: u32 = 100;

/// Its values.
pub(crate) const CPU_TYPES: [(&str, &str); 2] = [("samples", "count"), ("cpu", "nanoseconds")];

/// What this process, all its threads, does with its processor time in the time to come. Blocks for `length`; `gone` is asked
/// several times a second whether anybody still wants it.
pub(crate) fn cpu_profile(
    length: Duration,
    hz: u32,
    gone: &mut dyn FnMut() -> bool,
) -> Result<StackProfile, Refused> {
    let _own = Suspended::new();
    unwind_tables::refresh_now();
    let period = i64::from(1_000_000_000 / hz.max(1));
    let mut profile = StackProfile::new(&CPU_TYPES, CPU_TYPES[1], period);
    let report = cpu::run(length, hz, gone, &mut |tick| {
        let count = i64::from(tick.weight);
        let values = [count, count.saturating_mul(period)];
        let labels: Vec<(&str, &str)> = labels::of(tick.labels).collect();
        profile.add(tick.frames, tick.is_truncated, values, &labels);
    })?;
    profile.set_duration(report.duration);
    for note in notes(&report, profile.total()) {
        profile.note(note);
    }
    Ok(profile)
}

fn notes(report: &Report, ticks: i64) -> Vec<String> {
    let seen = report.period.as_secs_f64() * ticks as f64;
    let mut notes = vec![format!(
        "the process used {:.2} s of processor time meanwhile, of which {seen:.2} s are in this profile",
        report.used.as_secs_f64()
    )];
    if report.dropped > 0 {
        notes.push(format!(
            "{} ticks are not in this profile: more came at once than there was room for; ask with a smaller hz",
            report.dropped
        ));
    }
    if !report.blocking.is_empty() {
        notes.push(format!(
            "these threads block SIGPROF, and what they do is not in this profile unless they unblock it: {}",
            report.blocking.join(", ")
        ));
    }
    if report.without_timer > 0 {
        notes.push(format!(
            "{} threads are not in this profile: the system had no timer for them (RLIMIT_SIGPENDING)",
            report.without_timer
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let report = Report {
            duration: Duration::from_secs(1),
            period: Duration::from_millis(10),
            used: Duration::from_millis(1_500),
            dropped: 0,
            blocking: Vec::new(),
            without_timer: 0,
        };
        assert_eq!(
            notes(&report, 149),
            [
                "the process used 1.50 s of processor time meanwhile, of which 1.49 s are in this profile"
            ]
        );
        let report = Report {
            dropped: 3,
            blocking: vec!["one".into(), "other".into()],
            without_timer: 2,
            ..report
        };
        let notes = notes(&report, 149).join("\n");
        for part in ["3 ticks", "SIGPROF", "one, other", "2 threads"] {
            assert!(notes.contains(part), "{notes}");
        }
    }
}
