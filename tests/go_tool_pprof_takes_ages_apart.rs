//! `go tool pprof` on a profile by age: `-tags` shows each class with its bytes, `-tagfocus` and `-tagignore` keep and leave
//! one out, `-tagroot` makes them the roots.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod fake_clock;
mod go_pprof;
mod local_server;

use std::hint::black_box;
use std::time::Duration;

use go_pprof::pprof;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

const BLOCK: usize = 1 << 20;

type Blocks = Vec<Vec<u8>>;

fn blocks(count: usize) -> Blocks {
    (0..count).map(|_| black_box(vec![1; BLOCK])).collect()
}

#[inline(never)]
fn fill_cache() -> Blocks {
    black_box(blocks(32))
}

#[inline(never)]
fn answer_requests() -> Blocks {
    let mut kept = blocks(16);
    kept.truncate(4);
    black_box(kept)
}

/// Megabytes of the function in `-top`, by itself and what it calls.
fn megabytes(args: &[&str], function: &str) -> i64 {
    let mut all = vec!["-top", "-unit=B", "-nodefraction=0"];
    all.extend(args);
    let top = pprof(&all);
    let row = top.lines().find(|line| line.ends_with(function));
    let cell = row.and_then(|row| row.split_whitespace().nth(3));
    let bytes = cell.map_or(0, |cell| {
        cell.trim_end_matches('B').parse::<i64>().expect("bytes")
    });
    bytes >> 20
}

#[test]
fn go_tool_pprof_takes_ages_apart() {
    let (_server, addr) = local_server::start();
    let cache = fill_cache();
    fake_clock::advance(Duration::from_secs(1_800));
    let answers = answer_requests();
    // What the server does from here on is no stack to look up.
    debug_pprof::set_sample_rate(0);
    let url = format!("http://{addr}/debug/pprof/heap?label=age");

    let tags = pprof(&["-tags", "-unit=MB", "-sample_index=alloc_space", &url]);
    let ages = tags
        .split(" age:")
        .nth(1)
        .unwrap_or_else(|| panic!("{tags}"));
    for (label, least) in [("10m-1h", 32.0), ("freed", 12.0), ("<1m", 4.0)] {
        // `32.0MB (66.67%): 10m-1h`
        let row = ages
            .lines()
            .find(|line| line.ends_with(&format!(": {label}")));
        let row = row.unwrap_or_else(|| panic!("no {label} in {tags}"));
        let value = row
            .trim_start()
            .split("MB")
            .next()
            .and_then(|text| text.parse().ok());
        let is_near = |value: f64| (least..least + 1.5).contains(&value);
        assert!(value.is_some_and(is_near), "{tags}");
    }

    let cases = [
        ("-tagfocus=age=10m-1h", 32, 0, 0),
        ("-tagfocus=age=<1m", 0, 4, 4),
        ("-tagfocus=age=freed", 0, 0, 12),
        ("-tagignore=age=freed", 32, 4, 4),
        ("-tagfocus=age=<1m|10m-1h", 32, 4, 4),
    ];
    for (tag, in_cache, in_answers, allocated) in cases {
        let megabytes_of = |index, function| megabytes(&[tag, index, &url], function);
        let (inuse, alloc) = ("-sample_index=inuse_space", "-sample_index=alloc_space");
        assert_eq!(megabytes_of(inuse, "::fill_cache"), in_cache, "{tag}");
        assert_eq!(
            megabytes_of(inuse, "::answer_requests"),
            in_answers,
            "{tag}"
        );
        assert_eq!(megabytes_of(alloc, "::answer_requests"), allocated, "{tag}");
    }
    assert!(megabytes(&["-tagroot=age", &url], " 10m-1h") >= 32);

    let old = format!("http://{addr}/debug/pprof/heap?min_age=10m");
    let top = pprof(&["-top", &old]);
    assert!(
        top.contains("::fill_cache") && !top.contains("::answer_requests"),
        "{top}"
    );
    assert!(top.contains("has lived for 10m"), "in the legend: {top}");
    drop((cache, answers));
}
