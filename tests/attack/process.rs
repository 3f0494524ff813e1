//! A server in a process of its own: `tests/attacked_server`, built with `panic = "abort"`, with 24 descriptors.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use super::Damage;

pub(crate) struct Process {
    pub(crate) addr: SocketAddr,
    /// Where the program's code lies.
    pub(crate) code: Range<usize>,
    /// The address of a function with a long name.
    pub(crate) long_name: usize,
    child: Mutex<Child>,
    id: u32,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    pub(crate) resident_kib: u64,
}

impl Process {
    /// Starts `server`, one of the package's programs.
    pub(crate) fn start(server: &str) -> Process {
        let mut child = Command::new(build().join(server))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let addr = line(&mut stdout).parse().expect("an address");
        let long_name = line(&mut stdout).parse().expect("a number");
        let code = code(child.id(), long_name);
        Process {
            addr,
            code,
            long_name,
            id: child.id(),
            child: Mutex::new(child),
            talk: Mutex::new((stdin, stdout)),
        }
    }

    /// Has the program itself do something, and waits until it is done.
    pub(crate) fn tell(&self, what: &str) {
        let mut talk = self.talk.lock().expect("no panic");
        // A dead one cannot be told anything; `alive` will say so.
        if writeln!(talk.0, "{what}").is_ok() {
            line(&mut talk.1);
        }
    }

    pub(crate) fn alive(&self) -> Result<(), Damage> {
        match self.child.lock().expect("no panic").try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Damage::Dead(status.to_string())),
            Err(error) => Err(Damage::Dead(error.to_string())),
        }
    }

    /// Zeros of a process that has ended.
    pub(crate) fn held(&self) -> Held {
        let directory = PathBuf::from(format!("/proc/{}", self.id));
        let count = |what| fs::read_dir(directory.join(what)).map_or(0, Iterator::count);
        let status = fs::read_to_string(directory.join("status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        Held {
            threads: count("task"),
            descriptors: count("fd"),
            resident_kib: resident.unwrap_or_default(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().expect("no panic");
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line of text");
    line.trim().to_owned()
}

/// The mapping that `inside` is in.
fn code(id: u32, inside: usize) -> Range<usize> {
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).expect("/proc");
    let range = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let mut ranges = maps.lines().filter_map(range);
    ranges.find(|range| range.contains(&inside)).expect("code")
}

/// Where the programs are, once they are built. Cargo does nothing if nothing has changed.
fn build() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacked_server");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("attacked-server");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet"])
        .env("RUSTFLAGS", "")
        .arg("--target-dir")
        .arg(&target)
        .current_dir(package)
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("debug")
}
