//! A child that is process 1 of its namespace, as its parent is of another, is not taken for its parent: it takes a profile
//! though the parent's thread that had the loader's lock does not exist there.
//!
//! ```text
//! the test's process ── clone ──▶ parent, process 1 ── clone ──▶ child, process 1
//!                                  └─ thread, in the loader      └─ takes a profile
//! ```
//!
//! Where the kernel gives no namespaces there is nothing to be seen, and it says so.
#![cfg(target_os = "linux")]

mod lock_free_heap;
mod own_process;

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::{HeapProfile, ProfiledAllocator};
use lock_free_heap::LockFreeHeap;
use own_process::{OwnProcess, part};

/// Without a lock: processes are cloned past the C library, which would see to those of its own.
#[global_allocator]
static ALLOC: ProfiledAllocator<LockFreeHeap> =
    ProfiledAllocator::new(LockFreeHeap::new()).sample_every(4_096);

const NAME: &str = "children_that_are_process_1_as_their_parent_never_hang";
/// Ends a child that hangs. No child is measured by it.
const PATIENCE: Duration = Duration::from_secs(30);

const WELL: c_int = 0;
const NOT_PROCESS_1: c_int = 3;
const NO_PROFILE: c_int = 4;
const CHILD_HANGS: c_int = 5;
const NO_NAMESPACE: c_int = 6;

/// Runs `work` in a child that is process 1 of its namespace. None if the kernel gives none.
fn in_a_namespace(work: impl FnOnce() -> c_int) -> Option<libc::pid_t> {
    let with = [libc::CLONE_NEWPID, libc::CLONE_NEWPID | libc::CLONE_NEWUSER];
    for flags in with {
        let flags = flags | libc::SIGCHLD;
        // SAFETY: a copy of this process, of which only this thread goes on, on the same stack.
        match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
            0 => {
                let code = work();
                // SAFETY: no preconditions; what is the parent's is not ended.
                unsafe { libc::_exit(code) };
            }
            child if child > 0 => return Some(child as libc::pid_t),
            _ => {}
        }
    }
    println!("no namespace: {}", io::Error::last_os_error());
    None
}

/// The code that it ended with; None if it does not end in time.
fn code(child: libc::pid_t, patience: Duration) -> Option<c_int> {
    let started = Instant::now();
    let mut status = 0;
    // SAFETY: a child of this process; `status` is there to be written.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if started.elapsed() > patience {
            // SAFETY: it has not been waited for, so it is still this child.
            unsafe { libc::kill(child, libc::SIGKILL) };
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Some(if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        status | 0x100
    })
}

fn takes_a_profile() -> bool {
    let profile = HeapProfile::capture();
    profile.is_ok_and(|profile| profile.write_pprof(io::sink()).is_ok())
}

static IS_HELD: AtomicBool = AtomicBool::new(false);

/// Holds the loader's lock for ever.
unsafe extern "C" fn hold(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    IS_HELD.store(true, Ordering::SeqCst);
    loop {
        thread::park();
    }
}

fn parent() -> c_int {
    if std::process::id() != 1 {
        return NOT_PROCESS_1;
    }
    if !takes_a_profile() {
        return NO_PROFILE;
    }
    thread::spawn(|| {
        // SAFETY: the signature is the one that is called for.
        unsafe { libc::dl_iterate_phdr(Some(hold), ptr::null_mut()) }
    });
    while !IS_HELD.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let child = in_a_namespace(|| match (std::process::id(), takes_a_profile()) {
        (1, true) => WELL,
        (1, false) => NO_PROFILE,
        _ => NOT_PROCESS_1,
    });
    let Some(child) = child else {
        return NO_NAMESPACE;
    };
    code(child, PATIENCE / 2).unwrap_or(CHILD_HANGS)
}

#[test]
fn children_that_are_process_1_as_their_parent_never_hang() {
    if part().is_none() {
        let said = OwnProcess::of(NAME, "parent").ends_well();
        println!("{said}");
        return;
    }
    assert!(takes_a_profile());
    let Some(parent) = in_a_namespace(parent) else {
        return;
    };
    match code(parent, PATIENCE) {
        Some(WELL) => {}
        Some(NO_NAMESPACE) => println!("no second namespace"),
        Some(code) => panic!("the parent ended with {code}"),
        None => panic!("the parent hangs"),
    }
}
