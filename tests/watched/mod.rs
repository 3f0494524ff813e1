//! The part of a test that may hang or crash its process: it runs in a process of its own, which is this test's program
//! once more, and is ended when it has been silent for too long. So a part says something whenever it gets on.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::env;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// What tells such a process which part it is to run.
const VARIABLE: &str = "DEBUG_PPROF_TEST_PART";

/// A silence that no slow machine explains: longer than a fork child is given.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The silence that a part which is *meant* to hang is given. One that is only slow would be taken for hung, which
/// makes that check weaker, not wrong.
pub(crate) const SHORT_PATIENCE: Duration = Duration::from_secs(2);

/// The part that this process is to run, None in the test itself.
pub(crate) fn part() -> Option<String> {
    env::var(VARIABLE).ok()
}

/// Whether a run may take minutes.
pub(crate) fn is_long() -> bool {
    env::var_os("DEBUG_PPROF_LONG").is_some_and(|value| value == "1")
}

/// How a part ended.
#[derive(Debug)]
pub(crate) enum End {
    Exited(ExitStatus),
    /// It fell silent, and was ended.
    Hung,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    pub(crate) output: String,
}

impl Outcome {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.end, End::Exited(status) if status.success())
    }

    pub(crate) fn is_hung(&self) -> bool {
        matches!(self.end, End::Hung)
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        match self.end {
            End::Exited(status) => status.signal(),
            End::Hung => None,
        }
    }

    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(
            self.is_success(),
            "{:?}; it said: {}",
            self.end,
            self.output
        );
    }
}

/// Runs `part` of the test called `test`.
pub(crate) fn run(test: &str, part: &str, patience: Duration) -> Outcome {
    let mut command = Command::new(env::current_exe().expect("its path"));
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, part);
    run_command(command, patience)
}

/// Runs a command of the test's own in the same way.
pub(crate) fn run_command(mut command: Command, patience: Duration) -> Outcome {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("a descriptor"))
        .stderr(writer)
        // So that its children can be ended with it.
        .process_group(0);
    let mut child = command.spawn().expect("it starts");
    // Holds writing ends of the pipe.
    drop(command);
    let (sender, said) = mpsc::channel();
    let listener = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut bytes) {
            let _ = sender.send(bytes[..read].to_vec());
        }
    });
    let mut output = Vec::new();
    let is_hung = loop {
        match said.recv_timeout(patience) {
            Ok(bytes) => output.extend(bytes),
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if is_hung {
        // SAFETY: the group that was made for our child, which has not been waited for.
        unsafe { libc::kill(-child.id().cast_signed(), libc::SIGKILL) };
    }
    let status = child.wait().expect("our child");
    listener.join().expect("no panic");
    output.extend(said.try_iter().flatten());
    let end = if is_hung {
        End::Hung
    } else {
        End::Exited(status)
    };
    Outcome {
        end,
        output: String::from_utf8_lossy(&output).into_owned(),
    }
}
