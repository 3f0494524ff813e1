//! An example's executable, built and up to date, and the process that it becomes.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses the part that it needs"
)]

mod process;

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use process::Process;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Build {
    Debug,
    Release,
}

/// Builds `examples/EXAMPLE` with the default features and `features`: `cargo test --test NAME` alone would not.
pub(crate) fn executable(example: &str, build: Build, features: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is target/tmp");
    let (flags, directory): (&[&str], _) = match build {
        Build::Debug => (&[], "debug"),
        Build::Release => (&["--release"], "release"),
    };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", example])
        .args(["--features", &features.join(",")])
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
    target.join(directory).join("examples").join(example)
}
