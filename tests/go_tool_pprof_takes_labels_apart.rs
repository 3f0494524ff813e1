//! `go tool pprof` on a profile with labels: `-tags` shows each value with its bytes, `-tagfocus` and `-tagignore` keep and
//! leave one out, `-tagroot` makes them the roots.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod go_pprof;
mod local_server;

use std::hint::black_box;

use debug_pprof::labels::scope;
use go_pprof::pprof;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

const BLOCK: usize = 1 << 20;

type Blocks = Vec<Vec<u8>>;

#[inline(never)]
fn answer(blocks: usize) -> Blocks {
    black_box((0..blocks).map(|_| black_box(vec![1; BLOCK])).collect())
}

/// Megabytes of the row in `-top`, by itself and what it calls.
fn megabytes(args: &[&str], row_end: &str) -> i64 {
    let mut all = vec!["-top", "-unit=B", "-nodefraction=0"];
    all.extend(args);
    let top = pprof(&all);
    let row = top.lines().find(|line| line.ends_with(row_end));
    let cell = row.and_then(|row| row.split_whitespace().nth(3));
    let bytes = cell.map_or(0, |cell| {
        cell.trim_end_matches('B').parse::<i64>().expect("bytes")
    });
    bytes >> 20
}

#[test]
fn go_tool_pprof_takes_labels_apart() {
    let (_server, addr) = local_server::start();
    let held = [
        scope(&[("tenant", "a"), ("route", "/x")], || answer(16)),
        scope(&[("tenant", "b"), ("route", "/x")], || answer(8)),
        scope(&[("tenant", "b"), ("route", "/y")], || answer(4)),
        answer(2),
    ];
    // What the server does from here on is no stack to look up.
    debug_pprof::set_sample_rate(0);
    let url = format!("http://{addr}/debug/pprof/heap");

    let tags = pprof(&["-tags", "-unit=MB", &url]);
    for (key, rows) in [
        ("tenant", [("a", "16MB "), ("b", "12MB ")]),
        ("route", [("/x", "24MB "), ("/y", "4MB ")]),
    ] {
        let section = tags
            .split(&format!(" {key}:"))
            .nth(1)
            .unwrap_or_else(|| panic!("{tags}"));
        for (value, megabytes) in rows {
            // `16MB (53.30%): a`
            let row = section
                .lines()
                .find(|line| line.ends_with(&format!(": {value}")));
            assert!(
                row.is_some_and(|row| row.trim_start().starts_with(megabytes)),
                "{key} {value} in {tags}"
            );
        }
    }
    for (tag, expected) in [
        ("-tagfocus=tenant=a", 16),
        ("-tagfocus=tenant=b", 12),
        ("-tagfocus=route=/y", 4),
        ("-tagfocus=/x", 24),
        ("-tagignore=tenant=a", 14),
    ] {
        assert_eq!(megabytes(&[tag, &url], "::answer"), expected, "{tag}");
    }
    assert_eq!(megabytes(&["-tagroot=tenant", &url], " b"), 12);
    assert_eq!(megabytes(&["-tagroot=tenant", &url], " a"), 16);
    // Beside the labels that are asked for.
    let by_type = format!("{url}?label=age,type");
    assert_eq!(
        megabytes(
            &["-tagfocus=tenant=b", "-tagignore=age=freed", &by_type],
            "::answer"
        ),
        12
    );
    drop(held);
}
