//! Fork children that go on as if they were the program: they allocate, free what their parent allocated, and take a
//! profile.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use debug_pprof::HeapProfile;

use crate::random::Random;
use crate::tally;

const PERIOD: Duration = Duration::from_millis(100);

/// Ends a child that hangs; nothing is measured by it.
const WATCHDOG_SECONDS: u32 = 60;

/// The status of a child that could not do it.
const FAILED: i32 = 1;

/// Forks until it is told to stop. Returns how many children did what they should.
pub(crate) fn fork(stop: &AtomicBool) -> Result<u64, String> {
    let mut children = 0;
    while !stop.load(Ordering::Relaxed) {
        let from_parent = vec![1_u8; 5 << 10];
        // SAFETY: the child runs what this example is about, which must work after a fork, and ends with `_exit`.
        match unsafe { libc::fork() } {
            -1 => return Err(format!("no fork: {}", io::Error::last_os_error())),
            0 => {
                // SAFETY: no preconditions.
                unsafe { libc::alarm(WATCHDOG_SECONDS) };
                let status = if lives(from_parent) { 0 } else { FAILED };
                // SAFETY: ends the child without the parent's exit handlers.
                unsafe { libc::_exit(status) }
            }
            child => wait_for(child)?,
        }
        children += 1;
        thread::sleep(PERIOD);
    }
    Ok(children)
}

/// What a child does. Whether its profile could be taken and written.
fn lives(from_parent: Vec<u8>) -> bool {
    let mut random = Random::new(u64::from(std::process::id()));
    let own: Vec<Vec<u8>> = (0..100)
        .map(|_| vec![1; tally::any_size(&mut random)])
        .collect();
    drop(from_parent);
    let mut body = Vec::new();
    let written = HeapProfile::capture().and_then(|profile| profile.write_pprof(&mut body));
    drop(own);
    written.is_ok() && !body.is_empty()
}

fn wait_for(child: libc::pid_t) -> Result<(), String> {
    let mut status = 0;
    // SAFETY: waits for our child; `status` is valid to write to.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    if waited == child && status == 0 {
        Ok(())
    } else {
        Err(format!(
            "a fork child hung or failed: wait status {status:#x}"
        ))
    }
}
