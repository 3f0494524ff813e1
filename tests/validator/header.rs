//! What the profile says of itself: types, period, time, duration, comments.

use std::time::{SystemTime, UNIX_EPOCH};

use super::limits::{MAX_AGE_NANOS, MAX_AHEAD_NANOS};
use super::proto::{Profile, ValueType};
use super::{Expect, Rule, Violations, string};

pub(super) fn check(profile: &Profile, expect: Expect, found: &mut Violations) {
    types(profile, expect, found);
    times(profile, expect, found);
    let default = string(profile, profile.default_sample_type);
    let wanted = expect.kind.default_sample_type();
    found.check(
        default == wanted,
        Rule::DefaultSampleType,
        format!("{default:?}, not {wanted:?}"),
    );
    found.check(
        default.is_empty()
            || profile
                .sample_type
                .iter()
                .any(|t| string(profile, t.r#type) == default),
        Rule::DefaultSampleTypeExists,
        format!("{default:?} is no sample type of this profile"),
    );
    found.check(
        profile.drop_frames == 0 && profile.keep_frames == 0,
        Rule::NoDropOrKeepFrames,
        format!(
            "drop_frames {:?}, keep_frames {:?}",
            string(profile, profile.drop_frames),
            string(profile, profile.keep_frames)
        ),
    );
}

fn types(profile: &Profile, expect: Expect, found: &mut Violations) {
    let named = |t: &ValueType| {
        (
            string(profile, t.r#type).to_owned(),
            string(profile, t.unit).to_owned(),
        )
    };
    let types: Vec<_> = profile.sample_type.iter().map(named).collect();
    let wanted: Vec<_> = expect
        .kind
        .sample_types()
        .iter()
        .map(|&(name, unit)| (name.to_owned(), unit.to_owned()))
        .collect();
    found.check(
        types == wanted,
        Rule::SampleTypes,
        format!("{types:?}, not {wanted:?}"),
    );
    for (name, _) in &types {
        found.check(
            is_identifier(name),
            Rule::SampleTypeIsIdentifier,
            format!("{name:?}"),
        );
    }
    let period_type = profile.period_type.as_ref().map(named);
    let (name, unit) = expect.kind.period_type();
    found.check(
        period_type == Some((name.to_owned(), unit.to_owned())),
        Rule::PeriodType,
        format!("{period_type:?}, not {name}/{unit}"),
    );
    found.check(
        expect
            .period
            .map_or(profile.period >= 0, |period| profile.period == period),
        Rule::Period,
        format!("{}, expected {:?}", profile.period, expect.period),
    );
}

/// A PromQL metric name's part, without the colon that separates them.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn times(profile: &Profile, expect: Expect, found: &mut Violations) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_nanos();
    let now = i64::try_from(now).expect("the clock is before 2262");
    found.check(
        (now - MAX_AGE_NANOS..=now + MAX_AHEAD_NANOS).contains(&profile.time_nanos),
        Rule::TimeNanos,
        format!("{} at {now}", profile.time_nanos),
    );
    let duration = profile.duration_nanos;
    found.check(
        if expect.has_duration() {
            duration > 0
        } else {
            duration == 0
        },
        Rule::Duration,
        format!(
            "{duration} ns on a {}",
            if expect.has_duration() {
                "delta"
            } else {
                "snapshot"
            }
        ),
    );
}
