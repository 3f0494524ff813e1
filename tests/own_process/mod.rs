//! The part of a test that may hang or crash, in a process of its own that is watched from this one.
//!
//! ```text
//! the test ── OwnProcess::of("name of the test", "part") ──▶ the same test in a new process
//!    │                                                        part() is Some("part")
//!    └─ watches it ◀── Ended::Well │ Ended::Badly │ Ended::Hung
//! ```
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Which part the new process has: the name of the part, if this is one.
const PART: &str = "DEBUG_PPROF_TEST_PART";

/// The part that this process has been started for; None in the test's first process.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Whether there is time for the long form of a test.
pub(crate) fn is_long() -> bool {
    std::env::var_os("DEBUG_PPROF_LONG").is_some_and(|value| value == "1")
}

#[derive(Debug)]
pub(crate) enum Ended {
    Well(String),
    Badly(ExitStatus, String),
    /// It did not end in time, and was killed.
    Hung,
}

pub(crate) struct OwnProcess {
    command: Command,
    limit: Duration,
}

impl OwnProcess {
    /// Runs the test `name` as `part`.
    pub(crate) fn of(name: &str, part: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test's program"));
        command.args(["--exact", name, "--test-threads=1", "--show-output"]);
        command.env(PART, part).env_remove("DEBUG_PPROF_RATE");
        Self {
            command,
            // A machine that is busy with something else must not fail a test; a part that hangs costs this much.
            limit: Duration::from_secs(300),
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// How long it may take. For parts that are expected to hang.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn ended(mut self) -> Ended {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("this test's program starts");
        let said = [
            read(child.stdout.take().expect("piped")),
            read(child.stderr.take().expect("piped")),
        ];
        let Some(status) = wait(&mut child, self.limit) else {
            // It may have ended just now; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
            return Ended::Hung;
        };
        let said = said.map(|said| said.recv().unwrap_or_default()).join("\n");
        if status.success() {
            Ended::Well(said)
        } else {
            Ended::Badly(status, said)
        }
    }

    /// What it said.
    ///
    /// # Panics
    /// Unless it ended well.
    #[track_caller]
    pub(crate) fn ends_well(self) -> String {
        match self.ended() {
            Ended::Well(said) => said,
            Ended::Badly(status, said) => panic!("{status}:\n{said}"),
            Ended::Hung => panic!("it hangs"),
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Reads to the end on a thread, so that the child never blocks on a full pipe.
fn read(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is said.
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    said
}
