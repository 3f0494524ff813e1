//! `heap?since=` is the growth since the nearest snapshot that is at least as old, or the oldest, and says which;
//! `/peakheap` is what was in use at the most; and fork children answer too.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod fork_child;
mod http_client;
mod local_server;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use debug_pprof::{ProfiledAllocator, WatchOptions};
use fork_child::{Child, End, ask};
use http_client::validator::{Expect, Kind, Profile, assert_valid};
use http_client::{get, respond};

/// Each of the test's blocks is 64 times as large or more: all are sampled, and as exact as at rate 1.
const RATE: usize = 64 << 10;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(RATE);

const PERIOD: Duration = Duration::from_millis(50);
const MIB: usize = 1 << 20;

fn profile(addr: SocketAddr, target: &str, expect: Expect) -> Profile {
    loop {
        let answer = get(addr, target);
        // The watch has only just begun.
        if answer.status != 503 {
            assert_eq!(answer.status, 200, "{}", answer.text());
            return assert_valid(&answer.body, expect);
        }
        thread::sleep(PERIOD);
    }
}

fn delta(addr: SocketAddr, target: &str) -> Profile {
    profile(addr, target, Expect::new(Kind::Heap).delta())
}

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

/// Of the test's own blocks.
fn mib(profile: &Profile, sample_type: &str) -> i64 {
    profile.through("the_peak::block", sample_type) >> 20
}

fn has_comment(profile: &Profile, part: &str) -> bool {
    profile.comments().iter().any(|line| line.contains(part))
}

#[test]
fn http_growth_since_and_the_peak() {
    let options = WatchOptions {
        period: PERIOD,
        ..WatchOptions::DEFAULT
    };
    let before = block(32 * MIB);
    let (_server, addr) = local_server::start_with(|builder| builder.watch(options));
    delta(addr, "/debug/pprof/heap?since=1ms");

    let (kept, gone) = (block(8 * MIB), block(64 * MIB));
    // Until the peak has been seen: it is looked for as often as the clock allows.
    let start = Instant::now();
    while mib(
        &profile(addr, "/debug/pprof/peakheap", Kind::PeakHeap.into()),
        "inuse_space",
    ) < 104
    {
        assert!(start.elapsed() < Duration::from_secs(60), "no peak");
    }
    drop(gone);
    let since_start = delta(addr, "/debug/pprof/heap?since=1h");
    assert_eq!(mib(&since_start, "inuse_space"), 8);
    assert_eq!(mib(&since_start, "alloc_space"), 72);
    assert!(has_comment(&since_start, "since the watch began"));

    // Older than the span by a period at most, and what a busy machine adds: younger never. Half a second of that before
    // this moment finds the first block older, and a second after it the last one younger.
    thread::sleep(10 * PERIOD);
    let moment = Instant::now();
    thread::sleep(20 * PERIOD);
    let late = block(4 * MIB);
    let age = moment.elapsed();
    let since = delta(
        addr,
        &format!("/debug/pprof/heap?since={}ms", age.as_millis()),
    );
    assert!(since.proto.duration_nanos >= 1_000_000 * age.as_millis() as i64);
    assert!(
        has_comment(&since, "since the snapshot nearest to "),
        "{:?}",
        since.comments()
    );
    assert_eq!(mib(&since, "inuse_space"), 4);
    let allocs = profile(
        addr,
        "/debug/pprof/allocs?since=100ms",
        Expect::new(Kind::Allocs).delta(),
    );
    assert!(has_comment(&allocs, "100ms"));

    let peak = profile(addr, "/debug/pprof/peakheap", Kind::PeakHeap.into());
    assert_eq!(
        mib(&peak, "inuse_space"),
        104,
        "what was freed then is in it"
    );
    assert!(has_comment(&peak, "the highest in-use that was seen"));
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("past 1970")
        .as_nanos() as i64;
    assert!(now - peak.proto.time_nanos > (8 * PERIOD).as_nanos() as i64);
    let text = get(addr, "/debug/pprof/peakheap?debug=1").text();
    assert!(
        text.starts_with("heap profile: ") && text.contains("# the highest in-use"),
        "{text}"
    );
    drop((before, kept, late));

    for (target, part) in [
        ("heap?since=abc", "since"),
        ("heap?since=-1", "since"),
        ("leaks?since=1x", "since"),
        ("heap?since=1h&seconds=1", "incompatible"),
        ("heap?since=1h&debug=1", "incompatible"),
        ("heap?since=1h&min_age=1m", "incompatible"),
        ("leaks?seconds=1", "no seconds"),
        ("peakheap?seconds=1", "no seconds"),
        ("peakheap?since=1h", "no since"),
    ] {
        let answer = get(addr, &format!("/debug/pprof/{target}"));
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains(part), "{target}: {}", answer.text());
    }
    // What Go has nothing for asks for nothing.
    assert_eq!(get(addr, "/debug/pprof/goroutine?since=abc").status, 200);
    for name in ["leaks", "peakheap", "heap?since=1h"] {
        assert_eq!(respond(&Request::head(format!("/{name}"))).body, [0_u8; 0]);
    }

    fork_children_answer();
}

/// A fork child keeps what is remembered, and its own watch when it is asked; and the options even if it was forked while
/// the history was in use, which it then begins anew.
fn fork_children_answer() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let threads = || std::fs::read_dir("/proc/self/task").expect("/proc").count();
    let goes_on = || {
        let alone = threads() == 1;
        let peak = respond(&Request::get("/peakheap"));
        let is_watched = threads() > 1;
        // At the default period, which would be lost options, for ten minutes.
        while respond(&Request::get("/leaks?debug=1"))
            .text()
            .starts_with("too early")
        {
            thread::sleep(PERIOD);
        }
        alone && is_watched && peak.status == 200
    };
    // A failure ends it with the process.
    let load = thread::spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            respond(&Request::get("/leaks?symbolize=0"));
        }
    });
    let children: Vec<_> = (0..20).map(|_| ask(60, goes_on)).collect();
    STOP.store(true, Ordering::Relaxed);
    let ends: Vec<End> = children.into_iter().map(Child::end).collect();
    assert!(ends.iter().all(|end| *end == End::Yes), "{ends:?}");
    load.join().expect("no panic");
}
