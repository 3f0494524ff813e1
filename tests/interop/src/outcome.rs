//! What came of a suite.

use std::path::Path;
use std::process::Command;

use debug_pprof_interop::REPORT;

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Of all its programs.
    pub(crate) samples: u64,
}

/// Runs the library's tests and the integration tests of a package.
pub(crate) fn run(package: &Path, target: &Path) -> Result<Outcome, String> {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--no-fail-fast", "--lib", "--tests", "--target-dir"])
        .arg(target.join("build"))
        .current_dir(package)
        .env("DEBUG_PPROF_RATE", "1")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .map_err(|error| format!("cargo test: {error}"))?;
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let count = |nth: usize| -> u64 {
        let results = said.lines().filter(|line| line.starts_with("test result:"));
        results
            .filter_map(|line| line.split(' ').nth(nth)?.parse::<u64>().ok())
            .sum()
    };
    let outcome = Outcome {
        passed: count(3),
        failed: count(5),
        samples: samples(&complained)?,
    };
    if output.status.success() || outcome.failed > 0 {
        Ok(outcome)
    } else {
        Err(format!("cargo test: {}\n{complained}", output.status))
    }
}

fn samples(complained: &str) -> Result<u64, String> {
    let reports = complained
        .lines()
        .filter_map(|line| line.strip_prefix(REPORT));
    reports
        .map(|report| {
            report
                .parse::<u64>()
                .map_err(|_| format!("a program lost samples: {report}"))
        })
        .sum()
}
