//! In steady state a tracked future is polled and woken without one clone of the executor's waker, without an allocation, and with
//! a waker that what it waits for knows already; an executor that hands down another waker each time costs one of each, and
//! a round of questions one clone of what it waits for, no more.
#![cfg(feature = "http")]

mod http_client;

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use debug_pprof::http::Request;
use debug_pprof::task;
use http_client::respond;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: each call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOC: Counting = Counting;

/// Clones and drops of the executor's wakers, and their wakes.
static CLONES: AtomicUsize = AtomicUsize::new(0);
static WAKES: AtomicUsize = AtomicUsize::new(0);

static TABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        CLONES.fetch_add(1, Ordering::Relaxed);
        RawWaker::new(data, &TABLE)
    },
    |_| {
        WAKES.fetch_add(1, Ordering::Relaxed);
    },
    |_| {
        WAKES.fetch_add(1, Ordering::Relaxed);
    },
    |_| {},
);

/// One of many wakers, which are told apart by their data.
fn executors_waker(nth: usize) -> Waker {
    let data = std::ptr::without_provenance(nth);
    // SAFETY: the table's functions use no data, and may be called by any thread.
    unsafe { Waker::new(data, &TABLE) }
}

/// What the future has seen.
#[derive(Default)]
struct Seen {
    kept: Option<Waker>,
    clones: usize,
}

#[test]
fn polls_of_tracked_tasks_clone_and_allocate_nothing() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let sees = Arc::clone(&seen);
    // As channels do: keeps a waker until it is handed another.
    let future = poll_fn(move |cx: &mut Context<'_>| {
        let mut seen = sees.lock().unwrap();
        let is_known = |kept: &Waker| kept.will_wake(cx.waker());
        if !seen.kept.as_ref().is_some_and(is_known) {
            seen.kept = Some(cx.waker().clone());
            seen.clones += 1;
        }
        Poll::<()>::Pending
    });
    let mut tracked = pin!(task::track(future));
    let mut poll = |waker: &Waker| {
        let outcome = tracked.as_mut().poll(&mut Context::from_waker(waker));
        assert!(outcome.is_pending());
    };
    let counts = || {
        let clones = seen.lock().unwrap().clones;
        [
            CLONES.load(Ordering::Relaxed),
            ALLOCATIONS.load(Ordering::Relaxed),
            clones,
        ]
    };
    let waker = executors_waker(1);
    poll(&waker);
    assert_eq!(counts()[0], 1);

    let before = counts();
    for _ in 0..1000 {
        poll(&waker);
        seen.lock()
            .unwrap()
            .kept
            .as_ref()
            .expect("one")
            .wake_by_ref();
    }
    assert_eq!(counts(), before, "clones, allocations, clones of ours");
    assert_eq!(WAKES.load(Ordering::Relaxed), 1000);

    // The counters count: another waker each time is a clone and an allocation each, and the future sees another.
    let before = counts();
    for nth in 2..102 {
        poll(&executors_waker(nth));
    }
    assert_eq!(counts(), before.map(|count| count + 100));

    // Asked once it clones once, and from then on knows its waker again.
    poll(&waker);
    let before = counts();
    let wakes = WAKES.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| respond(&Request::get("/debug/pprof/goroutine?debug=1")).text());
        while WAKES.load(Ordering::Relaxed) == wakes {
            std::thread::yield_now();
        }
        poll(&waker);
        let text = asks.join().expect("an answer");
        assert!(
            text.contains("\"task\":\"unnamed\"") && !text.contains("missing\":\"its"),
            "{text}"
        );
    });
    assert_eq!(WAKES.load(Ordering::Relaxed), wakes + 1);
    assert_eq!(counts()[0], before[0]);
    assert_eq!(counts()[2], before[2] + 1);
    // Where it was not polled since, it is not asked again.
    let text = respond(&Request::get("/debug/pprof/goroutine?debug=1")).text();
    assert!(text.contains("\"task\":\"unnamed\""), "{text}");
    assert_eq!(WAKES.load(Ordering::Relaxed), wakes + 1);
    let before = counts();
    for _ in 0..1000 {
        poll(&waker);
    }
    assert_eq!(counts(), [before[0], before[1], before[2]]);
}
