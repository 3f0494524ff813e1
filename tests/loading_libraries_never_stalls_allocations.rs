//! Libraries come and go, one with a constructor that sleeps and allocates, while other threads allocate, panic, take
//! backtraces and profiles: nothing waits for ever, and nothing crashes.
#![cfg(target_env = "gnu")]

mod c_library;
mod child_process;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::ffi::c_void;
use std::fs;
use std::hint::black_box;
use std::panic::{catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use c_library::{Loaded, build};
use child_process::{case, start, succeeds, times};
use debug_pprof::{HeapProfile, ProfiledAllocator};

#[global_allocator]
static ALLOC: ProfiledAllocator<Inner> = ProfiledAllocator::new(Inner).sample_every(1);

/// The system's allocator. As the negative control it does what a profiler must not: it asks the loader while it holds a
/// lock that allocating threads want.
struct Inner;

static ASKS_THE_LOADER: AtomicBool = AtomicBool::new(false);
static LOCK: Mutex<()> = Mutex::new(());

// SAFETY: forwards to `System`.
unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _held = ASKS_THE_LOADER.load(Ordering::Relaxed).then(|| {
            let held = LOCK.lock();
            // SAFETY: looks a name up, for which the loader takes its lock.
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
            held
        });
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The constructor runs while the loader holds its lock, and calls the function whose address is in the environment.
const SOURCE: &str = "
#include <stdlib.h>
#include <unistd.h>
static void call(void) {
    const char *at = getenv(\"CALLED_BY_THE_CONSTRUCTOR\");
    if (at) ((void (*)(void *))strtoul(at, 0, 16))(0);
}
__attribute__((constructor)) static void construct(void) { call(); usleep(SLEEP); call(); }
__attribute__((destructor)) static void destruct(void) { call(); }
void enter(void (*call)(void *), void *with) { call(with); __asm__ volatile(\"\"); }
";

const NAMES: [&str; 2] = ["sleeps", "does-not-sleep"];

static CALLED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn allocate(_: *mut c_void) {
    CALLED.fetch_add(1, Ordering::Relaxed);
    drop(black_box(vec![1_u8; 300]));
}

type Enter = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void);

fn load_and_unload(library: &std::path::Path) {
    let loaded = Loaded::open(library);
    // SAFETY: the library's function has this signature.
    let enter = unsafe { std::mem::transmute::<*mut c_void, Enter>(loaded.symbol(c"enter")) };
    for _ in 0..10 {
        // SAFETY: calls back once.
        unsafe { enter(allocate, ptr::null_mut()) };
    }
}

fn child(case: &str) {
    // SAFETY: before there are other threads.
    unsafe {
        std::env::set_var(
            "CALLED_BY_THE_CONSTRUCTOR",
            format!("{:x}", allocate as *const () as usize),
        )
    };
    let loads = times(150, 3_000);
    let libraries = [(NAMES[0], "1000"), (NAMES[1], "0")]
        .map(|(name, sleep)| build(name, &SOURCE.replace("SLEEP", sleep), &[]));
    let takes_profiles = case != "before tables";
    ASKS_THE_LOADER.store(case == "asks the loader", Ordering::Relaxed);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let until_stopped = |work: &dyn Fn()| {
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        };
        scope.spawn(move || until_stopped(&|| drop(black_box(vec![1_u8; 100]))));
        scope.spawn(move || {
            until_stopped(&|| {
                let caught = catch_unwind(|| resume_unwind(Box::new(black_box([1_u8; 50]))));
                assert!(caught.is_err());
                drop(black_box(Backtrace::force_capture()));
            });
        });
        if takes_profiles {
            scope.spawn(move || {
                until_stopped(&|| {
                    let profile = HeapProfile::capture().expect("installed");
                    profile
                        .write_pprof(std::io::sink())
                        .expect("a sink takes all");
                });
            });
        }
        for _ in 0..loads / 2 {
            libraries
                .iter()
                .for_each(|library| load_and_unload(library));
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Ten calls of each load, two from its constructor, one from its destructor.
    assert_eq!(CALLED.load(Ordering::Relaxed), loads / 2 * 2 * 13);
    for library in libraries {
        let _ = fs::remove_file(library);
    }
}

const TEST: &str = "loading_libraries_never_stalls_allocations";

#[test]
fn loading_libraries_never_stalls_allocations() {
    if let Some(case) = case() {
        return child(&case);
    }
    succeeds(TEST, "before tables");
    succeeds(TEST, "with profiles");
    // A control: with the mistake in it, it stops for good.
    let mut hangs = start(TEST, "asks the loader");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        let status = hangs.try_wait().expect("a child of this process");
        assert!(status.is_none(), "does not hang: {status:?}");
        thread::sleep(Duration::from_millis(50));
    }
    hangs.kill().expect("a child of this process");
    let _ = hangs.wait();
    for name in NAMES {
        let _ = fs::remove_file(c_library::path(name, hangs.id()));
    }
}
