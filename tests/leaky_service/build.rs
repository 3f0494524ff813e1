//! Where the example's executable is, and that it is up to date.

#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Build {
    Debug,
    Release,
}

/// Builds the example: `cargo test --test NAME` alone would not.
pub(crate) fn executable(build: Build) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is target/tmp");
    let (flags, directory): (&[&str], _) = match build {
        Build::Debug => (&[], "debug"),
        Build::Release => (&["--release"], "release"),
    };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "leaky_service"])
        .args(flags)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    target
        .join(directory)
        .join("examples")
        .join("leaky_service")
}
