//! Nothing that the wrapper does inside `alloc`, `realloc` or `dealloc` comes back to the global allocator: at rate 1, over
//! collections, threads, formatting, panics, backtraces and profiles, the tripwire around the wrapper is never touched.

mod watched;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::fmt::Write;
use std::io::sink;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use watched::{PATIENCE, part, run};

const TEST: &str = "profiler_never_allocates_inside_malloc";

/// Ends the process if the allocator inside it is called again on a thread that is inside it.
struct Tripwire(ProfiledAllocator<Inner>);

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn once<R>(work: impl FnOnce() -> R) -> R {
    if IS_INSIDE.replace(true) {
        const TEXT: &[u8] = b"the allocator was called inside itself\n";
        // SAFETY: writes a constant.
        unsafe { libc::write(2, TEXT.as_ptr().cast(), TEXT.len()) };
        // SAFETY: no preconditions.
        unsafe { libc::abort() };
    }
    let result = work();
    IS_INSIDE.set(false);
    result
}

// SAFETY: all of it is the wrapper's.
unsafe impl GlobalAlloc for Tripwire {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        once(|| unsafe { self.0.alloc(layout) })
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        once(|| unsafe { self.0.alloc_zeroed(layout) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        once(|| unsafe { self.0.dealloc(block, layout) })
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        once(|| unsafe { self.0.realloc(block, layout, size) })
    }
}

/// `System`, or one that allocates for itself through the global allocator: what the tripwire is for.
struct Inner;

static ALLOCATES: AtomicBool = AtomicBool::new(false);

// SAFETY: `System`.
unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ALLOCATES.swap(false, Ordering::Relaxed) {
            drop(std::hint::black_box(Box::new(1)));
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOC: Tripwire = Tripwire(ProfiledAllocator::new(Inner).sample_every(1));

fn collections(seed: usize) {
    let mut texts = BTreeMap::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let (mut queue, mut heap) = (VecDeque::new(), BinaryHeap::new());
    for nth in 0..300 {
        let text = format!("{seed}-{nth:?}-{:.3}", nth as f64 / 7.0);
        *counts.entry(text[..3].to_owned()).or_default() += 1;
        texts.insert(nth * 7 % 300, text.clone());
        queue.push_front(text.into_bytes());
        heap.push(nth ^ seed);
        if nth % 3 == 0 {
            queue.pop_back();
        }
    }
    let mut sorted: Vec<_> = texts.into_values().collect();
    sorted.sort_by_key(|text| text.len());
    sorted.shrink_to_fit();
    let shared: Arc<[String]> = sorted.into();
    assert_eq!(shared.len(), 300);
}

fn formatting() {
    let mut out = String::new();
    for nth in 0..200 {
        write!(
            out,
            "{nth:>width$} {:?} ",
            Some("x".repeat(nth)),
            width = nth % 20
        )
        .expect("a string takes all");
    }
    let path = std::path::Path::new("/proc/self/status");
    let _ = std::fs::read_to_string(path).map(|text| text.lines().count());
    let _: Vec<_> = std::env::vars().collect();
}

fn threads() {
    let (sender, receiver) = mpsc::channel();
    let total = Arc::new(Mutex::new(0));
    let threads = (0..8).map(|nth| {
        let (sender, total) = (sender.clone(), total.clone());
        thread::Builder::new()
            .name(format!("worker {nth}"))
            .spawn(move || {
                *total.lock().expect("no panic") += nth;
                sender.send(vec![nth; 100]).expect("a receiver");
            })
            .expect("a thread")
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().expect("no panic");
    }
    drop(sender);
    assert_eq!(receiver.iter().map(|block| block.len()).sum::<usize>(), 800);
}

fn panics() {
    for nth in 0..3 {
        let caught = catch_unwind(|| {
            let _held = vec![String::from("dropped while unwinding"); 10];
            panic!("number {nth}");
        });
        assert!(caught.is_err());
    }
    assert!(!Backtrace::force_capture().to_string().is_empty());
}

fn profiles() {
    for _ in 0..2 {
        let profile = HeapProfile::capture().expect("installed");
        profile.write_pprof(sink()).expect("a sink takes all");
        profile.write_text(sink()).expect("a sink takes all");
    }
}

fn workload() {
    // Before there are tables, and after.
    for _ in 0..2 {
        thread::scope(|scope| {
            for seed in 0..3 {
                scope.spawn(move || collections(seed));
            }
            scope.spawn(panics);
            scope.spawn(profiles);
            scope.spawn(threads);
            scope.spawn(formatting);
        });
    }
    let stats = mem_stats();
    assert_eq!((stats.profiler.nested, stats.profiler.stale), (0, 0));
    assert!(stats.heap.alloc_objects > 5_000);
}

#[test]
fn profiler_never_allocates_inside_malloc() {
    match part().as_deref() {
        Some("workload") => workload(),
        Some("an inner allocator that allocates") => {
            ALLOCATES.store(true, Ordering::Relaxed);
            drop(std::hint::black_box(Box::new(1)));
        }
        _ => {
            run(TEST, "workload", PATIENCE).assert_success();
            // The tripwire trips.
            let outcome = run(TEST, "an inner allocator that allocates", PATIENCE);
            assert_eq!(outcome.signal(), Some(libc::SIGABRT), "{outcome:?}");
            assert!(outcome.output.contains("inside itself"), "{outcome:?}");
        }
    }
}
