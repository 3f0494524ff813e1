//! Prometheus and its promtool: from PATH, or else Debian's package, unpacked once into `target/`.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ADVICE: &str = "these tests run Prometheus and promtool: install prometheus, or apt-get and dpkg with access to Debian's archive";

/// The path of `prometheus` or `promtool`.
#[track_caller]
pub(crate) fn tool(name: &str) -> PathBuf {
    if Command::new(name)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return PathBuf::from(name);
    }
    installed()
        .unwrap_or_else(|reason| panic!("{ADVICE} ({reason})"))
        .join(name)
}

fn installed() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is target/tmp")
        .join("prometheus");
    fs::create_dir_all(&home).map_err(|e| format!("cannot create {}: {e}", home.display()))?;
    let (complete, binaries) = (home.join("COMPLETE"), home.join("usr/bin"));
    // Test processes may run side by side; the lock ends with the file, however its holder ends.
    let lock = File::create(home.join("install.lock")).map_err(|e| e.to_string())?;
    lock_exclusively(&lock)?;
    if complete.is_file() {
        return Ok(binaries);
    }
    run(Command::new("apt-get")
        .args(["download", "prometheus"])
        .current_dir(&home))?;
    let packages = fs::read_dir(&home).map_err(|e| e.to_string())?;
    let package = packages
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .ok_or("apt-get left no package")?;
    run(Command::new("dpkg").arg("-x").arg(&package).arg(&home))?;
    fs::write(&complete, "").map_err(|e| e.to_string())?;
    Ok(binaries)
}

fn lock_exclusively(file: &File) -> Result<(), String> {
    use std::os::fd::AsRawFd;
    // SAFETY: flock takes no pointers, and the descriptor is open for as long as `file` is borrowed.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error().to_string())
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", reason.trim()))
}

/// Runs promtool in `directory` with `input`.
pub(crate) fn promtool(args: &[&str], directory: &Path, input: &str) -> Output {
    let mut child = Command::new(tool("promtool"))
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    // It may end without having read all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("promtool ends")
}

/// Both of its outputs, for a message.
pub(crate) fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}
