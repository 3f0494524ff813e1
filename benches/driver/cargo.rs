//! Builds the programs that a bench runs: packages of their own under `benches/`, in release, under `target/`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// For all builds: functions begin on cache lines. Where the linker happens to place the same loop in two programs makes one
/// up to 8 % faster than the other (a `Vec` that grows to 32 KiB: ×1.00 to ×1.09 at rate 0 before, ×1.00 since). The
/// instructions are the same; `.ci/run` has these flags too.
const ALIGNED: &str = "-C llvm-args=-align-all-functions=6";

/// Where the programs of `benches/<package>` are, built now. `choice` says which, as arguments of `cargo build`. `flags`
/// are for rustc, beside those in the environment; builds with different flags are kept apart.
pub(crate) fn build(package: &str, choice: &[&str], flags: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches")
        .join(package)
        .join("Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("benches")
        .join(if flags.is_empty() { "stock" } else { flags });
    let outer = env::var("RUSTFLAGS").unwrap_or_default();
    eprintln!("building benches/{package} {flags}");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .args(choice)
        .env("RUSTFLAGS", format!("{outer} {ALIGNED} {flags}"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "benches/{package} does not build");
    target.join("release")
}
