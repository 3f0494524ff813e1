//! Whichever of the profiler's own requests for memory the system refuses, nothing ends, allocated totals are exact,
//! in-use returns to the baseline, and the profile says how many samples are not whole. When the system gives memory
//! again, samples are whole again.
//!
//! The test's program has an `mmap` of its own, which is the one that the `libc` crate finds. C's allocator and threads
//! use another.

mod idle_harness;
mod own_process;

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use debug_pprof::{HeapProfile, HeapValues, ProfiledAllocator};
use own_process::{OwnProcess, part};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// One request in how many is refused: 0 none, -1 not known yet.
static EVERY: AtomicI64 = AtomicI64::new(-1);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// The part's number; the first request comes before `main`.
fn every() -> i64 {
    if EVERY.load(Ordering::Relaxed) == -1 {
        // SAFETY: the name is a C string, and nobody changes the environment.
        let value = unsafe { libc::getenv(c"DEBUG_PPROF_TEST_PART".as_ptr()) };
        let every = if value.is_null() {
            0
        } else {
            // SAFETY: getenv gave a C string.
            unsafe { libc::atoll(value) }
        };
        EVERY.store(every, Ordering::Relaxed);
    }
    EVERY.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn mmap(
    start: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    let every = every();
    if every > 0
        && REQUESTS
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(every.unsigned_abs())
    {
        REFUSED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: always safe.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's own.
        unsafe { *errno = libc::ENOMEM };
        return libc::MAP_FAILED;
    }
    // SAFETY: the request as it came; the caller vouches for it.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            start,
            bytes,
            protection,
            flags,
            file,
            offset,
        )
    };
    std::ptr::with_exposed_provenance_mut(mapped as usize)
}

/// Runs `work` while requests are refused, and says what the profile has of it.
fn growth<T>(every: i64, work: impl FnOnce() -> T) -> (T, HeapValues) {
    EVERY.store(0, Ordering::Relaxed);
    let before = HeapProfile::capture().expect("installed");
    EVERY.store(every, Ordering::Relaxed);
    let kept = work();
    EVERY.store(0, Ordering::Relaxed);
    let grown = HeapProfile::capture().expect("installed").since(&before);
    (kept, grown.total())
}

/// Sizes of their own, so that each needs a bucket, and then a live record.
fn blocks(into: &mut Vec<Vec<u8>>, sizes: std::ops::Range<usize>) -> HeapValues {
    let bytes = sizes.clone().sum::<usize>() as i64;
    let objects = sizes.len() as i64;
    into.extend(sizes.map(|size| black_box(vec![1; size])));
    HeapValues {
        alloc_objects: objects,
        alloc_space: bytes,
        inuse_objects: objects,
        inuse_space: bytes,
    }
}

fn no_memory() -> u64 {
    debug_pprof::mem_stats().profiler.folded_no_memory
}

fn refused(every: i64) {
    EVERY.store(0, Ordering::Relaxed);
    idle_harness::wait();
    let mut kept = Vec::with_capacity(20_000);
    let (expected, grown) = growth(every, || blocks(&mut kept, 10_000..13_000));
    assert!(REFUSED.load(Ordering::Relaxed) > 0, "nothing was refused");
    assert_eq!(
        (grown.alloc_objects, grown.alloc_space),
        (expected.alloc_objects, expected.alloc_space)
    );
    assert!(grown.inuse_objects <= expected.inuse_objects, "{grown:?}");
    let missing = (expected.inuse_objects - grown.inuse_objects) as u64;
    assert!(no_memory() >= missing, "{missing} missing");
    // All of it, the first time.
    assert!(no_memory() > 0 || every > 1);

    // What was never given is not missed when it is freed.
    let ((), freed) = growth(every, || kept.clear());
    assert_eq!(
        freed,
        HeapValues {
            inuse_objects: -grown.inuse_objects,
            inuse_space: -grown.inuse_space,
            ..HeapValues::default()
        }
    );

    // In the comment, if there was any.
    let mut text = Vec::new();
    let profile = HeapProfile::capture().expect("installed");
    profile.write_text(&mut text).expect("a vector takes all");
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.contains("no memory for the profiler"), no_memory() > 0);

    // There is memory again.
    let before = no_memory();
    let (expected, grown) = growth(0, || blocks(&mut kept, 30_000..31_000));
    assert_eq!((grown, no_memory()), (expected, before));
    println!(
        "{} requests refused, {before} samples not whole",
        REFUSED.load(Ordering::Relaxed)
    );
}

const NAME: &str = "without_memory_for_the_tables_totals_stay_true";

#[test]
fn without_memory_for_the_tables_totals_stay_true() {
    match part() {
        None => {
            for every in ["1", "2", "3", "5", "7"] {
                let said = OwnProcess::of(NAME, every).ends_well();
                let line = said.lines().find(|line| line.contains("not whole"));
                println!("one in {every}: {}", line.unwrap_or_default());
            }
        }
        Some(every) => refused(every.parse().expect("a number")),
    }
}
