//! A process that forks while one of its threads resolves names has children that can write a profile. (They once
//! waited for a lock that the thread they do not have would never release.)

mod validator;

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use debug_pprof::{HeapProfile, ProfiledAllocator};
use validator::{Expect, Kind, assert_valid, violations};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Ends a child that hangs; no child is measured by it.
const WATCHDOG_SECONDS: u32 = 30;

const EXPECT: Expect = Expect::new(Kind::Heap).period(1);

fn write_profile() -> Vec<u8> {
    let mut body = Vec::new();
    let profile = HeapProfile::capture().expect("installed");
    profile.write_pprof(&mut body).expect("a vector takes all");
    body
}

/// Whether a fork child wrote a valid profile.
fn child_writes() -> bool {
    // SAFETY: the child calls only what this test is about, and `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: no preconditions.
            unsafe { libc::alarm(WATCHDOG_SECONDS) };
            let body = write_profile();
            // The validator allocates a lot: not at rate 1.
            debug_pprof::set_sample_rate(0);
            let status = i32::from(!violations(&body, EXPECT).is_empty());
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(status) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for our child; `status` is valid to write to.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            waited == child && status == 0
        }
    }
}

#[test]
fn fork_children_can_write_profiles() {
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let parent = scope.spawn(|| {
            let mut bodies = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                bodies.push(write_profile());
            }
            bodies
        });
        let written = (0..40).filter(|_| child_writes()).count();
        stop.store(true, Ordering::Relaxed);
        let bodies = parent.join().expect("the writer");
        debug_pprof::set_sample_rate(0);
        for body in bodies {
            assert_valid(&body, EXPECT);
        }
        written
    });
    assert_eq!(written, 40, "children of {} hung or failed", process::id());
}
