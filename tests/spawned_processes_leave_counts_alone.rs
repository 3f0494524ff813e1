//! Under load, processes start by whatever way Rust and C have, with closures that allocate before `exec`: none hangs, and
//! what they do before they are other programs leaves the parent's counts as they were. One that shares the parent's memory,
//! as `vfork`'s do, is counted as the thread that started it.

mod lock_free_heap;
mod measured;
mod statistics;
mod watched;

use std::ffi::{c_int, c_void};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use lock_free_heap::{LockFreeHeap, take_a_lock};
use measured::{Block, allocated, in_use};
use watched::{PATIENCE, SHORT_PATIENCE, part, run};

#[global_allocator]
static ALLOC: ProfiledAllocator<LockFreeHeap> =
    ProfiledAllocator::new(LockFreeHeap::new()).sample_every(1);

const TEST: &str = "spawned_processes_leave_counts_alone";

/// Sizes that nothing else asks for.
const PARENTS: usize = 60_017;
const BEFORE_EXEC: usize = 60_029;
const SHARING: usize = 60_041;
const LOAD: usize = 60_077;

const TIMES: usize = 30;

/// Starts processes beside threads that allocate, until `start` has been called `times` times.
fn under_load(times: usize, start: impl Fn()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(Block::new(LOAD, 8));
                }
            });
        }
        for _ in 0..times {
            eprint!(".");
            start();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// `posix_spawn`, which shares the parent's memory until `exec`.
fn spawn() {
    assert!(Command::new("true").status().expect("it starts").success());
}

/// `fork`, a closure that allocates and frees, `exec`.
fn fork_and_exec() {
    let held = Block::new(PARENTS, 8);
    let mut command = Command::new("true");
    let before_exec = move || {
        let own = Block::new(BEFORE_EXEC, 8);
        // What the parent sampled, freed in the child alone.
        // SAFETY: a copy of the child's own block in its own memory, which is not used again: `exec` is next.
        drop(unsafe { ptr::read(&raw const held) });
        drop(own);
        Ok(())
    };
    // SAFETY: the allocator is usable in a fork child: this is what the test is about.
    unsafe { command.pre_exec(before_exec) };
    assert!(command.status().expect("it starts").success());
}

extern "C" fn share(_: *mut c_void) -> c_int {
    drop(Block::new(SHARING, 8));
    0
}

/// What `vfork` is to the kernel: the child has the parent's memory, thread-locals included, and the parent waits.
fn vfork() {
    let mut stack = vec![0_u8; 256 << 10];
    let top = stack.as_mut_ptr_range().end.map_addr(|end| end & !15);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs `share` on a stack of its own, and has ended before that goes away.
    let child = unsafe { libc::clone(share, top.cast(), flags, ptr::null_mut()) };
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: waits for our child; `status` is valid to write to.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}

fn counts_stay() {
    let before = HeapProfile::capture().expect("installed");
    let kept: Vec<Block> = (0..10).map(|_| Block::new(PARENTS, 8)).collect();
    under_load(TIMES, spawn);
    under_load(TIMES, fork_and_exec);
    under_load(TIMES, vfork);
    let grown = HeapProfile::capture().expect("installed").since(&before);
    let counts = |size| {
        (
            allocated(&grown, size).objects,
            in_use(&grown, size).objects,
        )
    };
    let times = TIMES as i64;
    assert_eq!(counts(PARENTS), (10 + times, 10), "the parent's");
    assert_eq!(counts(BEFORE_EXEC), (0, 0), "in children, before exec");
    assert_eq!(counts(SHARING), (times, 0), "in children that share memory");
    assert_eq!(counts(LOAD).1, 0);
    let stats = mem_stats().profiler;
    assert_eq!((stats.stale, stats.nested), (0, 0));
    drop(kept);
}

#[test]
fn spawned_processes_leave_counts_alone() {
    match part().as_deref() {
        Some("counts") => counts_stay(),
        Some("with a lock inside") => {
            take_a_lock();
            under_load(100_000, fork_and_exec);
        }
        _ => {
            run(TEST, "counts", PATIENCE).assert_success();
            // The harness sees a hang where there is one.
            let outcome = run(TEST, "with a lock inside", SHORT_PATIENCE);
            assert!(outcome.is_hung(), "{outcome:?}");
        }
    }
}
