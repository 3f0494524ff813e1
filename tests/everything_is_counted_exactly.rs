//! Exact counts are what a naive model counts below the wrapper, at every stage of threads' and processes' lives.
//!
//! ```text
//! before main ─ ten thousand threads ─ frees elsewhere ─ reallocs, zeroed, refused ─ destructors ─ rate changes ─ fork
//! ```

mod child_process;

use std::alloc::{GlobalAlloc, Layout, System, alloc, alloc_zeroed, dealloc, realloc};
use std::cell::RefCell;
use std::ffi::c_void;
use std::hint::black_box;
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use debug_pprof::{HeapProfile, ProfiledAllocator, exact_counts, set_sample_rate};

/// The model: four counters, and an atomic addition for each.
struct Naive;

static ALLOCATED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static FREED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn count(counters: &[AtomicU64; 2], bytes: usize) {
    counters[0].fetch_add(1, Ordering::Relaxed);
    counters[1].fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: forwards to `System`; refuses what is larger than any block of these tests.
unsafe impl GlobalAlloc for Naive {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            count(&ALLOCATED, layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            count(&ALLOCATED, layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&FREED, layout.size());
        // SAFETY: the caller's block and layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's block, layout and size.
        let moved = unsafe { System.realloc(block, layout, new_size) };
        if !moved.is_null() {
            count(&FREED, layout.size());
            count(&ALLOCATED, new_size);
        }
        moved
    }
}

#[global_allocator]
static ALLOC: ProfiledAllocator<Naive> = ProfiledAllocator::new(Naive)
    .sample_every(4096)
    .count_exactly(true);

/// [allocations, bytes allocated, frees, bytes freed], as counted by the model.
fn expected() -> [u64; 4] {
    let [allocations, allocated_bytes] = [0, 1].map(|nth| ALLOCATED[nth].load(Ordering::SeqCst));
    let [frees, freed_bytes] = [0, 1].map(|nth| FREED[nth].load(Ordering::SeqCst));
    [allocations, allocated_bytes, frees, freed_bytes]
}

fn counted() -> [u64; 4] {
    let counts = exact_counts().expect("switched on");
    [
        counts.allocations,
        counts.allocated_bytes,
        counts.frees,
        counts.freed_bytes,
    ]
}

/// How far the counts are from the model, while no thread allocates.
fn difference() -> [i64; 4] {
    let (counted, expected) = (counted(), expected());
    [0, 1, 2, 3].map(|nth| counted[nth].wrapping_sub(expected[nth]) as i64)
}

#[track_caller]
fn check(stage: &str) {
    assert_eq!(difference(), [0; 4], "{stage}");
}

static BEFORE_MAIN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn before_main() {
    let block = Box::new([1_u8; 777]);
    BEFORE_MAIN.store(Box::into_raw(block).addr(), Ordering::SeqCst);
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE: extern "C" fn() = before_main;

fn churn(seed: usize) {
    let mut kept = Vec::new();
    for nth in 0..20 {
        let mut text = String::from("x");
        text.extend((0..(seed * 31 + nth * 7) % 300).map(|_| 'y'));
        kept.push(text);
        if nth % 3 == 0 {
            kept.swap_remove(0);
        }
    }
    black_box(kept);
}

/// Short-lived threads, no two hundred at a time alive. Joined one by one: a scope ends when their work is done, and threads
/// that are at their end still free what they had.
fn threads(many: usize) {
    for batch in 0..many / 100 {
        thread::scope(|scope| {
            let batch: Vec<_> = (0..100)
                .map(|nth| scope.spawn(move || churn(batch + nth)))
                .collect();
            for thread in batch {
                thread.join().expect("ends well");
            }
        });
    }
}

extern "C" fn only_frees(block: *mut c_void) -> *mut c_void {
    // SAFETY: made by `frees_elsewhere`.
    drop(unsafe { Box::from_raw(block.cast::<[u8; 99]>()) });
    std::ptr::null_mut()
}

/// Threads of the C library that do nothing but free one block: the profiler never sees them allocate.
fn frees_elsewhere() {
    for _ in 0..200 {
        let block = Box::into_raw(Box::new([0_u8; 99])).cast();
        let mut id = 0;
        // SAFETY: the function takes the block over.
        let made = unsafe { libc::pthread_create(&mut id, std::ptr::null(), only_frees, block) };
        assert_eq!(made, 0);
        // SAFETY: made above, joined once.
        unsafe { libc::pthread_join(id, std::ptr::null_mut()) };
    }
}

fn every_method() {
    let layout = Layout::from_size_align(100, 8).expect("a layout");
    for nth in 0..3000_usize {
        let block = if nth % 2 == 0 {
            // SAFETY: the layout has a size.
            unsafe { alloc(layout) }
        } else {
            // SAFETY: the layout has a size.
            unsafe { alloc_zeroed(layout) }
        };
        // SAFETY: from above.
        let block = unsafe { realloc(block, layout, 100 + nth) };
        let layout = Layout::from_size_align(100 + nth, 8).expect("a layout");
        // More than there is.
        let too_much = isize::MAX as usize - 4096;
        // SAFETY: from above; a refused one stays as it was.
        assert!(unsafe { realloc(block, layout, too_much) }.is_null());
        // SAFETY: from above.
        unsafe { dealloc(block, layout) };
        // SAFETY: the layout has a size.
        let refused = unsafe { alloc(Layout::from_size_align(too_much, 8).expect("a layout")) };
        assert!(refused.is_null());
    }
}

/// Allocates and frees when its thread ends, in a destructor of Rust's.
struct AtEnd(RefCell<Vec<String>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.borrow_mut().push("at the end".repeat(9));
        churn(5);
    }
}

thread_local! {
    static AT_END: AtEnd = const { AtEnd(RefCell::new(Vec::new())) };
}

/// A destructor of a POSIX key, which runs after the profiler's, in every round of destructors that there is.
extern "C" fn key_ends(rounds: *mut c_void) {
    churn(rounds.addr());
    mem::forget(Box::new([0_u8; 33]));
    let key = KEY.load(Ordering::SeqCst) as libc::pthread_key_t;
    let next = std::ptr::without_provenance_mut::<c_void>(rounds.addr() + 1);
    // SAFETY: the key was made by `destructors`.
    unsafe { libc::pthread_setspecific(key, next) };
}

static KEY: AtomicUsize = AtomicUsize::new(0);

fn destructors() {
    let mut key = 0;
    // SAFETY: written to `key`.
    let made = unsafe { libc::pthread_key_create(&mut key, Some(key_ends)) };
    assert_eq!(made, 0);
    KEY.store(key as usize, Ordering::SeqCst);
    for _ in 0..200 {
        let with_all = move || {
            AT_END.with(|end| end.0.borrow_mut().push("while it runs".to_owned()));
            // SAFETY: the key was made above.
            unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(1)) };
        };
        thread::spawn(with_all).join().expect("ends well");
    }
}

/// Threads that are parked, with counts of their own, while this one forks; the child then has threads that take over
/// their memory.
fn fork_children() {
    let (parked, over) = (Arc::new(Barrier::new(21)), Arc::new(Barrier::new(21)));
    let others: Vec<_> = (0..20)
        .map(|nth| {
            let (parked, over) = (Arc::clone(&parked), Arc::clone(&over));
            thread::spawn(move || {
                churn(nth);
                parked.wait();
                over.wait();
            })
        })
        .collect();
    parked.wait();
    for _ in 0..5 {
        // SAFETY: the child uses what a fork child of a program with threads may use with glibc: its allocator.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let mut status = i32::from(difference() != [0; 4]);
            threads(200);
            status |= i32::from(difference() != [0; 4]) << 1;
            // SAFETY: as above.
            let grandchild = unsafe { libc::fork() };
            if grandchild != 0 {
                status |= wait(grandchild) << 2;
            } else {
                status = i32::from(difference() != [0; 4]);
            }
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) };
        }
        assert_eq!(
            wait(child),
            0,
            "1: at birth, 2: with threads, 4: grandchild"
        );
    }
    over.wait();
    for other in others {
        other.join().expect("ends well");
    }
}

fn wait(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a child of this process.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "{status:x}");
    libc::WEXITSTATUS(status)
}

/// Threads that end past their destructors are not read, and what they leave is not there twice.
fn bare_exits() {
    let before = difference();
    assert_eq!(before, [0; 4]);
    extern "C" fn exits(_: *mut c_void) -> *mut c_void {
        churn(3);
        // SAFETY: ends this thread alone.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        unreachable!()
    }
    for _ in 0..50 {
        let mut id = 0;
        let none = std::ptr::null_mut();
        // SAFETY: the function takes nothing.
        let made = unsafe { libc::pthread_create(&mut id, std::ptr::null(), exits, none) };
        assert_eq!(made, 0);
        // SAFETY: made above, joined once.
        unsafe { libc::pthread_join(id, std::ptr::null_mut()) };
        let after = difference();
        assert!(after.iter().all(|lost| *lost <= 0), "{after:?}");
        let _ = exact_counts();
    }
}

const TEST: &str = "everything_is_counted_exactly";

#[test]
fn everything_is_counted_exactly() {
    let Some(_) = child_process::case() else {
        // Alone: the test's other threads would count as well.
        child_process::succeeds(TEST, "life");
        return;
    };
    check("from before main on");
    threads(10_000);
    check("10 000 threads");
    frees_elsewhere();
    check("threads that only free");
    every_method();
    check("every method of the allocator");
    destructors();
    check("destructors");
    for rate in [1, 0, 512, 4096] {
        set_sample_rate(rate);
        churn(rate);
        threads(200);
        check("a change of rate");
    }
    let profile = HeapProfile::capture().expect("installed");
    profile.write_text(std::io::sink()).expect("a sink");
    check("a profile in hand");
    drop(profile);
    check("the profiler's own");
    fork_children();
    check("the parent of forks");
    bare_exits();
}
