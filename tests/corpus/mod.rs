//! Programs that a test builds in several ways: packages of their own under `tests/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `tests/NAME`, whose program is called the same with dashes, with `settings` for its profile and with `flags` for
/// rustc. Without flags, where this crate's own tests and examples are built: what it shares with them, its lock file
/// sees to that, is built already. With flags it has a place of its own.
pub(crate) fn built(name: &str, profile: &str, settings: &[&str], flags: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    let program = name.replace('_', "-");
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = match flags.is_empty() {
        true => own.parent().expect("it is target/tmp").to_owned(),
        false => own.join(&program).join("flags"),
    };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile])
        .args(settings.iter().flat_map(|setting| ["--config", setting]))
        .env("RUSTFLAGS", flags)
        .arg("--target-dir")
        .arg(&target)
        .current_dir(package)
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo build: {said}");
    let directory = if profile == "dev" { "debug" } else { profile };
    target.join(directory).join(program)
}
