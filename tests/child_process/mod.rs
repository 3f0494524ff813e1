//! The dangerous part of a test in a process of its own: the test's program again, told by its environment what to do.

#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::env;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Ends a child that hangs; nothing is measured by it.
const WATCHDOG: Duration = Duration::from_secs(120);

const CASE: &str = "DEBUG_PPROF_TEST_CASE";

/// What this process was started for; None in the test itself.
pub(crate) fn case() -> Option<String> {
    env::var(CASE).ok()
}

/// Whether the C library can say without a lock what is loaded where: glibc 2.35 and later. Where it cannot, walks without
/// tables are `backtrace`'s, and libraries at one address have no names once one was unloaded.
pub(crate) fn loader_can_be_asked() -> bool {
    // SAFETY: looks a name up.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    !found.is_null()
}

/// How often a child repeats what it does: `often` if all the time in the world is there.
pub(crate) fn times(seldom: usize, often: usize) -> usize {
    match env::var_os("DEBUG_PPROF_LONG") {
        Some(_) => often,
        None => seldom,
    }
}

/// Starts `test` of this program as a child with `case` to do.
pub(crate) fn start(test: &str, case: &str) -> Child {
    let mut command = Command::new(env::current_exe().expect("this program"));
    run(command_of(&mut command, test, case))
}

/// Has `command`, which starts this program, do `case`.
pub(crate) fn command_of<'c>(command: &'c mut Command, test: &str, case: &str) -> &'c mut Command {
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CASE, case)
        // Traces of panics take seconds in a debug build.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
}

pub(crate) fn run(command: &mut Command) -> Child {
    command.spawn().expect("this program starts")
}

/// How a child ends.
///
/// # Panics
///
/// If it hangs.
#[track_caller]
pub(crate) fn end(mut child: Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return status;
        }
        if started.elapsed() > WATCHDOG {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the child hangs");
        }
        sleep(Duration::from_millis(2));
    }
}

/// Runs `test` of this program in a child with `case` to do, and expects that it succeeds.
#[track_caller]
pub(crate) fn succeeds(test: &str, case: &str) {
    let status = end(start(test, case));
    assert!(status.success(), "{test}, {case}: {status}");
}
