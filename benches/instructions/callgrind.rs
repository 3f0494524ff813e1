//! Counts what a program executes.

use std::path::Path;
use std::process::{Command, Stdio};

/// The longest mean gap between samples that there is: of the pairs that are counted here one in a thousand runs has a
/// sample, and one sample is a fraction of an instruction per pair.
const RATE: (&str, &str) = ("DEBUG_PPROF_RATE", "17179869184");

/// Operations of the shorter run. The more, the less does a difference in the process's start weigh.
const OPERATIONS: u64 = 50_000;

pub(crate) fn is_installed() -> bool {
    Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Instructions that `program` executes for one operation of `kind`.
pub(crate) fn instructions_per_operation(program: &Path, kind: &str) -> f64 {
    let (once, twice) = (
        instructions(program, kind, OPERATIONS),
        instructions(program, kind, 2 * OPERATIONS),
    );
    twice.saturating_sub(once) as f64 / OPERATIONS as f64
}

fn instructions(program: &Path, kind: &str, operations: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([kind, &operations.to_string()])
        .envs([RATE])
        .output()
        .expect("valgrind runs");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {report}", program.display());
    // "==pid== Collected : 123456"
    let collected = report.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected : ")?;
        count.trim().parse().ok()
    });
    collected.unwrap_or_else(|| panic!("no count in {report}"))
}
