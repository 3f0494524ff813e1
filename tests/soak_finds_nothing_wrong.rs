//! `examples/soak` ends well, and badly for each fault that it is told to commit.
#![cfg(feature = "http")]

mod example_binary;

use std::env;
use std::process::{Command, Output};

use example_binary::{Build, executable};

/// As a user builds it, where there is time for that.
fn soak(arguments: &[&str]) -> (Output, String) {
    let build = if is_long() {
        Build::Release
    } else {
        Build::Debug
    };
    let output = Command::new(executable("soak", build, &[]))
        .args(arguments)
        .output()
        .expect("soak can be started");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output, said)
}

fn is_long() -> bool {
    env::var_os("DEBUG_PPROF_LONG").is_some()
}

#[test]
fn soak_finds_nothing_wrong() {
    let seconds = if is_long() { "300" } else { "3" };
    let (output, said) = soak(&[seconds]);
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with("\nnothing is wrong\n"), "{said}");
}

/// A fault, and what is said of it. The first two are found at once.
const FAULTS: [(&str, &str); 6] = [
    ("leak", "3001 B are in use that were dropped"),
    ("answer", "404 Not Found\" instead of 200"),
    ("bypass", "3001 B are in use that were dropped"),
    ("memory", "the resident memory grew by"),
    ("descriptor", "descriptors, before the first"),
    ("thread", "threads and"),
];

#[test]
fn soak_finds_each_fault() {
    let count = if is_long() { FAULTS.len() } else { 2 };
    for (fault, sentence) in FAULTS.into_iter().take(count) {
        let (output, said) = soak(&["3", "--fault", fault]);
        assert_eq!(output.status.code(), Some(1), "{fault}: {said}");
        let wrong = said.lines().filter(|line| line.starts_with("WRONG: "));
        assert!(
            wrong.into_iter().any(|line| line.contains(sentence)),
            "{fault}: {said}"
        );
    }
}
