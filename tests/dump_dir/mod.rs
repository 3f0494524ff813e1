//! A directory for dumps, and what is in it.

#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Generous: nothing is measured by it.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Where a child is told to dump.
const VARIABLE: &str = "DEBUG_PPROF_TEST_DUMPS";

/// Removed when it is dropped.
pub(crate) struct DumpDir(PathBuf);

impl DumpDir {
    /// A path where nothing is.
    pub(crate) fn new(name: &str) -> DumpDir {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("dumps-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        DumpDir(path)
    }

    /// One that is there.
    pub(crate) fn made(name: &str) -> DumpDir {
        let dir = DumpDir::new(name);
        fs::create_dir(&dir.0).expect("cargo's test directory is writable");
        dir
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Has `command` know it.
    pub(crate) fn told<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(VARIABLE, &self.0)
    }

    /// Waits until there is a dump that is not among `known`.
    #[track_caller]
    pub(crate) fn wait_for_another_than(&self, known: &HashSet<PathBuf>) {
        let start = Instant::now();
        while dumps(&self.0).iter().all(|dump| known.contains(dump)) {
            assert!(start.elapsed() < WATCHDOG, "a dump never came: {known:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for DumpDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// In a child: the directory that it was told of.
pub(crate) fn told() -> PathBuf {
    std::env::var_os(VARIABLE).expect("a directory").into()
}

/// All names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The dumps in a directory, from old to new.
pub(crate) fn dumps(dir: &Path) -> Vec<PathBuf> {
    let names = names(dir).into_iter();
    let dumps = names.filter(|name| name.starts_with("heap-") && name.ends_with(".pb.gz"));
    dumps.map(|name| dir.join(name)).collect()
}

/// Starts `command` with what it says on stderr kept.
pub(crate) fn start(command: &mut Command) -> Child {
    command
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program starts")
}

/// What a child said, all of it.
pub(crate) fn said(child: &mut Child) -> String {
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut text).expect("text");
    text
}
