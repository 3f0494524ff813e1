//! `heap?min_age=10m` has what is in use and has lived as long, and `heap?label=age` everything by class, in each form; what
//! makes no sense is a 400 that says what was read and what is allowed.
#![cfg(feature = "http")]

mod fake_clock;
mod http_client;
mod local_server;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use http_client::validator::{Expect, Kind, Profile, assert_valid};
use http_client::{Answer, ask, get};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

/// Sizes that nothing else asks for.
const OLD: usize = 54_323;
const YOUNG: usize = 54_325;
const FREED: usize = 54_327;

fn heap(addr: SocketAddr, query: &str) -> Answer {
    let answer = get(addr, &format!("/debug/pprof/heap?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer
}

fn profile(addr: SocketAddr, query: &str) -> Profile {
    let expect = Expect::new(Kind::Heap);
    let is_raw = query.contains("symbolize=0");
    assert_valid(
        &heap(addr, query).body,
        if is_raw { expect.raw() } else { expect },
    )
}

/// The values of the samples of `size`, with the label `age` of each.
fn samples(profile: &Profile, size: usize) -> Vec<(String, Vec<i64>)> {
    let text = |index: i64| profile.proto.string_table[index as usize].clone();
    let mut samples: Vec<_> = profile
        .proto
        .sample
        .iter()
        .filter(|sample| sample.label.iter().any(|label| label.num == size as i64))
        .map(|sample| {
            let age = sample.label.iter().find(|label| text(label.key) == "age");
            (
                age.map_or_else(String::new, |label| text(label.str)),
                sample.value.clone(),
            )
        })
        .collect();
    samples.sort();
    samples
}

fn values(alloc: i64, inuse: i64, size: usize) -> Vec<i64> {
    let size = size as i64;
    vec![alloc, alloc * size, inuse, inuse * size]
}

fn of(age: &str, values: Vec<i64>) -> (String, Vec<i64>) {
    (age.to_owned(), values)
}

fn profiles_of_what_is_old(addr: SocketAddr) {
    for query in [
        "min_age=10m",
        "min_age=600",
        "min_age=0h10m0s&symbolize=0",
        "min_age=1s&x=y",
    ] {
        let profile = profile(addr, query);
        assert_eq!(
            samples(&profile, OLD),
            [of("", values(3, 3, OLD))],
            "{query}"
        );
        assert_eq!(samples(&profile, YOUNG), [], "{query}");
        assert_eq!(samples(&profile, FREED), [], "{query}");
        for kind in ["objects", "space"] {
            let [alloc, inuse] =
                ["alloc", "inuse"].map(|of| profile.total(&format!("{of}_{kind}")));
            assert_eq!(alloc, inuse, "{query}");
        }
        let comments = profile.proto.comment.iter();
        let mut comments = comments.map(|at| &profile.proto.string_table[*at as usize]);
        assert!(
            comments.any(|line| line.contains("has lived for")),
            "{query}"
        );
    }
    assert_eq!(
        samples(&profile(addr, "min_age=0"), YOUNG),
        [of("", values(2, 2, YOUNG))]
    );
    assert_eq!(samples(&profile(addr, "min_age=2h"), OLD), []);
    // The same under its other name, which opens on allocations.
    let allocs = get(addr, "/debug/pprof/allocs?min_age=10m");
    let allocs = assert_valid(&allocs.body, Expect::new(Kind::Allocs));
    assert_eq!(samples(&allocs, OLD), [of("", values(3, 3, OLD))]);
}

fn profiles_by_age(addr: SocketAddr) {
    for query in ["label=age", "label=age&symbolize=0", "label=age,age&gc=1"] {
        let profile = profile(addr, query);
        assert_eq!(
            samples(&profile, OLD),
            [of("1h-6h", values(3, 3, OLD))],
            "{query}"
        );
        let young = [
            of("<1m", values(2, 2, YOUNG)),
            of("freed", values(5, 0, YOUNG)),
        ];
        assert_eq!(samples(&profile, YOUNG), young, "{query}");
        assert_eq!(
            samples(&profile, FREED),
            [of("freed", values(4, 0, FREED))],
            "{query}"
        );
    }
    // Both: what is old, by class, and nothing that is freed.
    let both = profile(addr, "label=age&min_age=30m");
    assert_eq!(samples(&both, OLD), [of("1h-6h", values(3, 3, OLD))]);
    assert_eq!(
        [samples(&both, YOUNG), samples(&both, FREED)],
        [vec![], vec![]]
    );
}

fn text_by_age(addr: SocketAddr) {
    let text = heap(addr, "debug=1&min_age=10m").text();
    let bytes = 3 * OLD;
    assert!(
        text.contains(&format!("3: {bytes} [3: {bytes}] @")),
        "{text}"
    );
    assert!(!text.contains(&format!(": {} [", 2 * YOUNG)), "{text}");
    assert!(
        text.contains("only of what is in use and has lived for 10m"),
        "{text}"
    );
    let text = heap(addr, "debug=1&label=age").text();
    let entry = text
        .find(&format!("3: {bytes} [3: {bytes}] @"))
        .expect("the entry");
    let labels = text[entry..].lines().nth(1);
    assert_eq!(labels, Some("# labels: {\"age\":\"1h-6h\"}"), "{text}");
    let whole = heap(addr, "debug=1").text();
    assert!(!whole.contains("# labels") && !whole.contains("has lived"));
}

fn nonsense_is_refused(addr: SocketAddr) {
    for (query, said) in [
        ("min_age=abc", ["\"min_age\": \"abc\"", "min_age=10m"]),
        ("min_age=-1", ["\"min_age\": \"-1\"", "min_age=10m"]),
        (
            "min_age=-10m&debug=1",
            ["\"min_age\": \"-10m\"", "min_age=10m"],
        ),
        ("min_age=10+m", ["\"min_age\": \"10 m\"", "min_age=10m"]),
        ("min_age=99999999999h", ["\"99999999999h\"", "min_age=10m"]),
        (
            "min_age=%0aSet-Cookie:+a",
            ["\\nSet-Cookie: a", "min_age=10m"],
        ),
        ("label=colour", ["\"label\": \"colour\"", "label=age"]),
        ("label=age,colour", ["\"label\": \"colour\"", "label=age"]),
        ("label=age,", ["\"label\": \"\"", "label=age"]),
        (
            "seconds=1&min_age=10m",
            ["seconds and min_age params are incompatible", "-diff_base"],
        ),
        (
            "seconds=1&label=age",
            [
                "seconds and label=age params are incompatible",
                "-diff_base",
            ],
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(addr, method, &format!("/debug/pprof/heap?{query}"), "");
            assert_eq!(answer.status, 400, "{method} {query}");
            if method == "GET" {
                let body = answer.text();
                assert!(
                    said.iter().all(|part| body.contains(part)),
                    "{query}: {body}"
                );
                assert!(body.trim_end().lines().count() == 1, "{body}");
            }
        }
    }
    // Without a value they are not there, as Go has it; others know nothing of ages.
    for query in ["heap?min_age=", "heap?label=", "goroutine?min_age=abc"] {
        assert_eq!(
            get(addr, &format!("/debug/pprof/{query}")).status,
            200,
            "{query}"
        );
    }
}

// One test: the clock and the heap are the process's.
#[test]
fn http_heap_by_age() {
    let (_server, addr) = local_server::start();
    let blocks = |count: usize, size: usize| -> Vec<Vec<u8>> {
        (0..count).map(|_| black_box(vec![1; size])).collect()
    };
    let old = blocks(3, OLD);
    drop(blocks(4, FREED));
    fake_clock::advance(Duration::from_secs(3_600));
    let mut young = blocks(7, YOUNG);
    young.truncate(2);
    // What the test does from here on is no stack to look up.
    debug_pprof::set_sample_rate(0);
    profiles_of_what_is_old(addr);
    profiles_by_age(addr);
    text_by_age(addr);
    nonsense_is_refused(addr);
    drop((old, young));
}
