//! An allocation in a signal handler that runs on a stack of its own has the interrupted frames in its call stack,
//! wherever that stack lies. (Above the thread's own they were once taken for the profiler's and left out.)
#![cfg(feature = "symbolize")]

use std::cell::RefCell;
use std::hint::black_box;
use std::mem;
use std::ptr;

use debug_pprof::{HeapProfile, ProfiledAllocator};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const SIZE: usize = 33_331;
const STACK: usize = 256 * 1024;

thread_local! {
    static KEPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[inline(never)]
extern "C" fn on_signal(_signal: libc::c_int) {
    KEPT.set(vec![1; black_box(SIZE)]);
}

#[inline(never)]
fn interrupted() {
    // SAFETY: the handler is installed.
    unsafe { libc::raise(libc::SIGUSR1) };
    black_box(());
}

/// Runs `interrupted` on a new thread with `stack` as its signal stack, and returns the text of the allocation's entry.
fn entry(stack: usize) -> String {
    let thread = std::thread::spawn(move || {
        let stack = libc::stack_t {
            ss_sp: ptr::with_exposed_provenance_mut(stack),
            ss_flags: 0,
            ss_size: STACK,
        };
        // SAFETY: the range is valid and unused until the thread ends.
        let set = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
        assert_eq!(set, 0);
        interrupted();
        let mut text = Vec::new();
        let profile = HeapProfile::capture().expect("installed");
        profile.write_text(&mut text).expect("a vector takes all");
        drop(KEPT.take());
        String::from_utf8(text).expect("UTF-8")
    });
    let text = thread.join().expect("no panic");
    let is_it = |entry: &&str| entry.contains(&format!("1: {SIZE} ["));
    text.split("\n\n")
        .find(is_it)
        .expect("the entry")
        .to_owned()
}

#[test]
fn stacks_cross_a_signal_stack() {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: a valid handler for this program's own signal.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);

    // One above the stacks of threads that start later, one below: mappings are handed out downwards.
    let above = vec![0_u8; STACK].leak().as_mut_ptr().expose_provenance();
    let first = entry(above);
    let below = vec![0_u8; STACK].leak().as_mut_ptr().expose_provenance();
    for entry in [first, entry(below)] {
        assert!(entry.contains("::on_signal+"), "{entry}");
        assert!(entry.contains("::interrupted+"), "{entry}");
    }
}
