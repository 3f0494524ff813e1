//! `heap?rss=1`: the total is the RSS, thread stacks and mapped files are told apart, and without the entries in brackets
//! it is `heap`.
#![cfg(feature = "http")]

mod go_pprof;
mod http_client;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::{Arc, Barrier};
use std::thread;

use debug_pprof::{ProfiledAllocator, mem_stats};
use http_client::get;
use http_client::validator::{Expect, Kind, Profile, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

const MIB: i64 = 1 << 20;
const THREADS: usize = 64;

/// Half a MiB of stack that a thread writes to; without optimization twice as much.
#[inline(never)]
fn use_stack() {
    black_box([1_u8; 512 << 10]);
}

/// A file of 32 MiB in memory, all of it read.
fn map_a_file(path: &str) -> usize {
    let mut file = File::create_new(path).expect("a new file");
    file.write_all(&vec![7; 32 << 20]).expect("room");
    let file = File::open(path).expect("there");
    // SAFETY: a mapping at an address of the kernel's choice; nobody changes the file.
    let start = unsafe {
        let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        libc::mmap(ptr::null_mut(), 32 << 20, prot, flags, file.as_raw_fd(), 0)
    };
    assert_ne!(start, libc::MAP_FAILED);
    // SAFETY: the mapping has so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), 32 << 20) };
    bytes
        .iter()
        .step_by(4096)
        .map(|byte| usize::from(*byte))
        .sum()
}

fn pseudo(profile: &Profile) -> impl Fn(&str) -> i64 + use<> {
    let by_leaf = profile.by_leaf_function("inuse_space");
    move |name| by_leaf.get(name).copied().unwrap_or(0)
}

const NAMES: [&str; 8] = [
    "[sampling error]",
    "[allocator: cached]",
    "[allocator: metadata]",
    "[thread stacks]",
    "[file-backed]",
    "[other anonymous]",
    "[profiler]",
    "[not resident]",
];

fn check(addr: std::net::SocketAddr) -> (Profile, Vec<u8>) {
    let body = get(addr, "/debug/pprof/heap?rss=1").body;
    let resident = mem_stats().resident_bytes.expect("Linux") as i64;
    let profile = assert_valid(&body, Expect::new(Kind::Heap));
    let total = profile.total("inuse_space");
    assert!(
        (total - resident).abs() * 20 < resident,
        "{total} {resident}"
    );
    let of = pseudo(&profile);
    let rest: i64 = NAMES.iter().map(|name| of(name)).sum();
    let plain = assert_valid(
        &get(addr, "/debug/pprof/heap").body,
        Expect::new(Kind::Heap),
    );
    let difference = total - rest - plain.total("inuse_space");
    // Nothing but the server allocates in between.
    assert!(difference.abs() < 2 * MIB, "{difference}");
    (profile, body)
}

#[test]
fn heap_with_rss_adds_up() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    let heap: Vec<Vec<u8>> = (0..300).map(|_| vec![1; 1 << 20]).collect();
    let path = format!("{}/rss-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    assert!(map_a_file(&path) > 0);
    let parked = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let parked = Arc::clone(&parked);
            thread::spawn(move || {
                use_stack();
                parked.wait();
                parked.wait();
            })
        })
        .collect();
    parked.wait();

    let (profile, body) = check(addr);
    let of = pseudo(&profile);
    assert!(
        of("[thread stacks]") > 32 * MIB,
        "{}",
        of("[thread stacks]")
    );
    assert!(
        of("[thread stacks]") < 80 * MIB,
        "{}",
        of("[thread stacks]")
    );
    assert!(of("[file-backed]") > 32 * MIB, "{}", of("[file-backed]"));
    assert!(of("[profiler]") > 0);
    assert!(of("[not resident]") == 0);

    fs::write(&path, &body).expect("writable");
    let top = go_pprof::pprof(&[
        "-top",
        "-nodefraction=0",
        "-sample_index=inuse_space",
        &path,
    ]);
    println!("{top}");
    for name in ["[thread stacks]", "[file-backed]", "[profiler]"] {
        assert!(top.contains(name), "{name} in\n{top}");
    }
    fs::remove_file(&path).expect("there");

    parked.wait();
    for thread in threads {
        thread.join().expect("ends well");
    }

    // Allocated and never touched: more than there is.
    let untouched: Vec<u8> = Vec::with_capacity(500 << 20);
    let (profile, _) = check(addr);
    assert!(pseudo(&profile)("[not resident]") < -400 * MIB);
    drop((untouched, heap));

    for (query, word) in [
        ("rss=x", "rss"),
        ("rss=1&seconds=1", "seconds"),
        ("rss=1&debug=1", "debug"),
    ] {
        let answer = get(addr, &format!("/debug/pprof/heap?{query}"));
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(word) && answer.text().contains("heap?rss=1"));
    }
}
