//! The allocator that the suites run under: the profiler's, which says at the end of the process what it has seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use debug_pprof::{HeapProfile, ProfiledAllocator};

/// How the line of a process begins. The number of samples follows.
pub const REPORT: &str = "debug-pprof-interop: samples ";

/// What the suites get as their `#[global_allocator]`.
pub type Allocator = ProfiledAllocator<Reporting>;

/// The allocator of a program.
pub const fn allocator() -> Allocator {
    ProfiledAllocator::new(Reporting(System))
}

/// The system's allocator, and a report at the process's end. Inside the profiler, so that nothing stands between it and
/// the suite.
#[derive(Debug)]
pub struct Reporting(System);

impl Reporting {
    fn report_at_exit() {
        static IS_TO_REPORT: AtomicBool = AtomicBool::new(false);
        if !IS_TO_REPORT.load(Ordering::Relaxed) && !IS_TO_REPORT.swap(true, Ordering::Relaxed) {
            // SAFETY: `report` has the signature that is called for, and takes care of its panics.
            unsafe { libc::atexit(report) };
        }
    }
}

/// A process in which the profiler dropped or lost something says so instead, which is no number.
extern "C" fn report() {
    let samples = || -> Option<i64> {
        let profile = HeapProfile::capture().ok()?;
        let records = profile.records().iter();
        Some(records.map(|record| record.sampled().alloc_objects).sum())
    };
    let stats = debug_pprof::mem_stats().profiler;
    let is_whole = stats.nested == 0 && stats.stale == 0 && stats.folded_no_memory == 0;
    let is_exact = debug_pprof::sample_rate() == 1;
    match samples() {
        Some(samples) if is_whole && is_exact => eprintln!("{REPORT}{samples}"),
        _ => eprintln!("{REPORT}none, or not all: {stats:?}"),
    }
}

// SAFETY: forwards every call to the system's allocator as it is.
unsafe impl GlobalAlloc for Reporting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Reporting::report_at_exit();
        // SAFETY: as the caller vouches.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Reporting::report_at_exit();
        // SAFETY: as the caller vouches.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}
