//! Scraping `/metrics` again and again costs little and leaves nothing behind.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::time::Instant;

use debug_pprof::{ProfiledAllocator, mem_stats};
use http_client::get;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// Ten minutes of scrapes every second, in a row.
const SCRAPES: usize = 600;

/// Less than a third of what 600 answers of 6 KB would add up to if they were kept.
const SLACK: u64 = 1 << 20;

#[test]
fn memory_descriptors_and_threads_stay_where_they_were() {
    let (_server, addr) = local_server::start();
    for _ in 0..50 {
        assert_eq!(get(addr, "/metrics").status, 200);
    }
    let before = mem_stats();
    let started = Instant::now();
    for _ in 0..SCRAPES {
        assert_eq!(get(addr, "/metrics").status, 200);
    }
    // Not asserted: the machine's business.
    println!("{:?} a scrape", started.elapsed() / SCRAPES as u32);
    let started = Instant::now();
    for _ in 0..SCRAPES {
        std::hint::black_box(mem_stats());
    }
    println!(
        "{:?} a call of mem_stats",
        started.elapsed() / SCRAPES as u32
    );
    let after = mem_stats();
    let exact = |stats: &debug_pprof::MemStats| stats.exact.expect("counted").inuse_bytes();
    assert!(
        exact(&after) < exact(&before) + SLACK,
        "{before:#?} {after:#?}"
    );
    // The last connections may not have ended yet.
    let (fds, threads) = (before.process.open_fds, before.process.threads);
    assert!(
        after.process.open_fds <= fds.map(|fds| fds + 8),
        "{after:#?}"
    );
    assert!(
        after.process.threads <= threads.map(|threads| threads + 8),
        "{after:#?}"
    );
}
