//! Checks a pprof body against everything that its consumers demand, rule by rule and by name.
//!
//! ```text
//! body ─▶ wire (gzip, raw fields) ─▶ prost ─▶ header, tables, frames, samples ─▶ Vec<Violation>
//!                                        └──▶ model::Profile (totals, stacks by name)
//! ```

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses the part that it needs"
)]

mod expect;
mod frames;
mod header;
pub(crate) mod limits;
mod model;
#[allow(unreachable_pub, dead_code, missing_docs, reason = "generated")]
#[path = "../../src/profile/proto.rs"]
pub(crate) mod proto;
mod rule;
mod samples;
mod tables;
mod wire;

use prost::Message;

pub(crate) use expect::{Expect, Form, Kind};
pub(crate) use model::{Profile, Stack};
pub(crate) use rule::{Rule, Violation};

/// Every rule that `body` breaks; empty for a profile that all consumers take.
pub(crate) fn violations(body: &[u8], expect: Expect) -> Vec<Violation> {
    read(body, expect).1
}

/// The profile, if it breaks no rule.
///
/// # Panics
///
/// Lists every violation.
#[track_caller]
pub(crate) fn assert_valid(body: &[u8], expect: impl Into<Expect>) -> Profile {
    let expect = expect.into();
    let (profile, violations) = read(body, expect);
    if !violations.is_empty() {
        let list: Vec<String> = violations.iter().map(|v| format!("  {v}")).collect();
        panic!(
            "not a valid profile for {expect:?} ({} violations):\n{}",
            list.len(),
            list.join("\n")
        );
    }
    profile.expect("a body that breaks no rule has been decoded")
}

fn read(body: &[u8], expect: Expect) -> (Option<Profile>, Vec<Violation>) {
    let mut found = Violations::default();
    let Some(message) = wire::check(body, &mut found) else {
        return (None, found.list);
    };
    let proto = match proto::Profile::decode(message.as_slice()) {
        Ok(proto) => proto,
        Err(error) => {
            found.report(Rule::Decodes, error);
            return (None, found.list);
        }
    };
    tables::check(&proto, expect, &mut found);
    header::check(&proto, expect, &mut found);
    frames::check(&proto, expect, &mut found);
    samples::check(&proto, expect, &mut found);
    (Some(Profile::new(proto)), found.list)
}

/// Violations as they are found.
#[derive(Default)]
struct Violations {
    list: Vec<Violation>,
}

impl Violations {
    fn report(&mut self, rule: Rule, detail: impl std::fmt::Display) {
        self.list.push(Violation {
            rule,
            detail: detail.to_string(),
        });
    }

    fn check(&mut self, holds: bool, rule: Rule, detail: impl std::fmt::Display) {
        if !holds {
            self.report(rule, detail);
        }
    }
}

/// The string at a table index; empty if there is none (which `Rule::StringIndexInRange` reports).
fn string(profile: &proto::Profile, index: i64) -> &str {
    usize::try_from(index)
        .ok()
        .and_then(|index| profile.string_table.get(index))
        .map_or("", String::as_str)
}
