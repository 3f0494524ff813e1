//! `?label=type` in every kind of build: each way to allocate that `tests/type_corpus` has is labelled with the type that is
//! stored there or not at all, nine tenths of the bytes are labelled, and the totals are those of the profile without labels.
//!
//! `Session` and `Twin` of the corpus are laid out alike: optimized builds have one `RawVec::grow_one` for both, with the name
//! of one of them.
#![cfg(all(
    target_arch = "x86_64",
    target_env = "gnu",
    feature = "http",
    feature = "symbolize"
))]

mod corpus;
mod validator;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use corpus::built;
use validator::{Expect, Kind, Profile, assert_valid, proto};

/// Which types a case may have; `*` is any.
type Cases = BTreeMap<String, Vec<String>>;

/// A case's bytes by label, the empty one for those without.
type Labelled = BTreeMap<String, BTreeMap<String, i64>>;

fn check(name: &str, profile: &str, settings: &[&str], flags: &str) {
    check_share(name, profile, settings, flags, 0.9);
}

fn check_share(name: &str, profile: &str, settings: &[&str], flags: &str, least: f64) {
    let program = built("type_corpus", profile, settings, flags);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("types-{name}"));
    fs::create_dir_all(&directory).expect("a directory");
    let files = ["by-type", "plain", "by-both"].map(|file| directory.join(file));
    let output = Command::new(program).args(&files).output();
    let output = output.expect("it was built");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    let cases: Cases = said
        .lines()
        .map(|line| {
            let mut parts = line.split('\t').map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.collect())
        })
        .collect();
    let expect = Expect::new(Kind::Heap);
    let [by_type, plain, by_both] =
        files.map(|file| assert_valid(&fs::read(file).expect("it was written"), expect));
    for sample_type in [
        "alloc_objects",
        "alloc_space",
        "inuse_objects",
        "inuse_space",
    ] {
        let total = plain.total(sample_type);
        assert_eq!(by_type.total(sample_type), total, "{sample_type}");
        assert_eq!(by_both.total(sample_type), total, "{sample_type}");
    }
    assert!(label(&plain, &plain.proto.sample[0], "type").is_none());
    assert!(by_both.proto.sample.iter().any(|sample| {
        label(&by_both, sample, "type").is_some() && label(&by_both, sample, "age").is_some()
    }));

    let labelled = labelled(&by_type, &cases);
    print(name, &labelled);
    for (case, types) in &labelled {
        for of_type in types.keys().filter(|of_type| !of_type.is_empty()) {
            let may_be = &cases[case];
            let is_right = may_be.contains(of_type) || may_be.iter().any(|any| any == "*");
            assert!(
                is_right,
                "{name}: {case} is labelled {of_type}, and is {may_be:?}"
            );
        }
    }
    assert_eq!(labelled.len(), cases.len(), "{name}: every case allocates");
    let sum = |is_meant: fn(&str) -> bool| -> i64 {
        let types = labelled.values().flatten();
        types
            .filter(|(of_type, _)| is_meant(of_type))
            .map(|(_, bytes)| bytes)
            .sum()
    };
    let share = sum(|of_type| !of_type.is_empty()) as f64 / sum(|_| true) as f64;
    println!("{name}: {:.1} % of the bytes are labelled", share * 100.0);
    assert!(share >= least, "{name}: {share}");
}

fn labelled(profile: &Profile, cases: &Cases) -> Labelled {
    let mut labelled = Labelled::new();
    for (sample, stack) in profile.proto.sample.iter().zip(profile.stacks()) {
        let case = stack.frames.iter().rev().find_map(|frame| {
            let case = frame.name.strip_prefix("type_corpus::cases::")?;
            cases.contains_key(case).then(|| case.to_owned())
        });
        let Some(case) = case else {
            continue;
        };
        let of_type = label(profile, sample, "type").unwrap_or_default();
        // Of all that it has allocated.
        *labelled
            .entry(case)
            .or_default()
            .entry(of_type)
            .or_default() += stack.values[1];
    }
    labelled
}

fn label(profile: &Profile, sample: &proto::Sample, key: &str) -> Option<String> {
    let string = |index: i64| profile.proto.string_table[index as usize].as_str();
    let label = sample.label.iter().find(|label| string(label.key) == key)?;
    Some(string(label.str).to_owned())
}

/// The table: of each case its labels, with the share of its bytes.
fn print(name: &str, labelled: &Labelled) {
    for (case, types) in labelled {
        let all: i64 = types.values().sum();
        for (of_type, bytes) in types {
            let of_type = if of_type.is_empty() { "-" } else { of_type };
            println!(
                "{name:8} {case:24} {:3} % {of_type}",
                bytes * 100 / all.max(1)
            );
        }
    }
}

fn is_long() -> bool {
    std::env::var_os("DEBUG_PPROF_LONG").is_some()
}

#[test]
fn in_a_debug_build_with_full_debug_information() {
    check("debug-2", "dev", &["profile.dev.debug=2"], "");
}

#[test]
fn in_a_release_build_with_limited_debug_information() {
    check("release-1", "release", &["profile.release.debug=1"], "");
}

/// Behind DEBUG_PPROF_LONG=1: each is a build of its own.
#[test]
fn in_other_builds() {
    if !is_long() {
        return;
    }
    check(
        "debug-1",
        "few",
        &["profile.few.inherits='dev'", "profile.few.debug=1"],
        "",
    );
    check(
        "release-2",
        "full",
        &["profile.full.inherits='release'", "profile.full.debug=2"],
        "",
    );
    let fat = [
        "profile.fat.inherits='release'",
        "profile.fat.debug=1",
        "profile.fat.lto='fat'",
        "profile.fat.codegen-units=1",
    ];
    check("fat-lto", "fat", &fat, "");
    // Much of the library is neither inlined nor beyond being merged.
    check_share(
        "size",
        "small",
        &[
            "profile.small.inherits='release'",
            "profile.small.debug=1",
            "profile.small.opt-level='z'",
        ],
        "",
        0.7,
    );
    let v0 = "-C symbol-mangling-version=v0";
    check("debug-v0", "dev", &["profile.dev.debug=1"], v0);
    check("release-v0", "release", &["profile.release.debug=1"], v0);
}
