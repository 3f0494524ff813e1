//! `go tool pprof`, found on PATH or installed into `target/`, and run in a world of its own.

#![allow(dead_code, reason = "each test crate uses the part that it needs")]

mod install;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) is_success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `go tool pprof ARGS…`, which must succeed, and returns its standard output.
#[track_caller]
pub(crate) fn pprof(args: &[&str]) -> String {
    let output = try_pprof(args);
    assert!(
        output.is_success,
        "go tool pprof {args:?} failed:\n{}",
        output.stderr
    );
    output.stdout
}

pub(crate) fn try_pprof(args: &[&str]) -> Output {
    let output = command(args)
        .output()
        .expect("the pprof tool can be started");
    Output {
        is_success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts `go tool pprof ARGS…`, for `-http`.
pub(crate) fn spawn_pprof(args: &[&str]) -> Child {
    command(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the pprof tool can be started")
}

/// The binary that `go tool pprof` runs, started directly so that killing it leaves no grandchild.
fn command(args: &[&str]) -> Command {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    let tool = TOOL
        .get_or_init(|| install::find_pprof(&home()).unwrap_or_else(|reason| panic!("{reason}")));
    // The tool saves what it fetches.
    let saved = home().join("saved").join(std::process::id().to_string());
    fs::create_dir_all(&saved).expect("cargo's test directory is writable");
    let mut command = Command::new(tool);
    command
        .args(args)
        .env_clear()
        .env("HOME", home())
        .env("PPROF_TMPDIR", saved);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// What a user's home directory would hold.
fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("go")
}
