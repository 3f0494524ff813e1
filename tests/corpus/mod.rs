//! Programs that a test builds in several ways: packages of their own under `tests/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `tests/NAME`, whose program is called the same with dashes, with `settings` for its profile and with `flags` for
/// rustc. What was built before with other flags is kept.
pub(crate) fn built(name: &str, profile: &str, settings: &[&str], flags: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    let program = name.replace('_', "-");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&program);
    let target = target.join(if flags.is_empty() { "stock" } else { "flags" });
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
