//! The adapter for jemalloc says what jemalloc holds: it grows by what the program allocates.
#![cfg(feature = "jemalloc")]

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

use debug_pprof::stats::{Jemalloc, set_allocator_view};
use debug_pprof::{ProfiledAllocator, mem_stats};
use tikv_jemallocator::Jemalloc as Inner;

#[global_allocator]
static ALLOC: ProfiledAllocator<Inner> = ProfiledAllocator::new(Inner);

#[test]
fn jemalloc_says_what_it_holds() {
    assert_eq!(mem_stats().allocator, None, "nobody has named it");
    set_allocator_view(&Jemalloc);
    let (name, before) = mem_stats().allocator.expect("named");
    assert_eq!(name, "jemalloc");
    let small: Vec<Box<[u8; 1000]>> = (0..60_000).map(|_| Box::new([1; 1000])).collect();
    sleep(Duration::from_millis(1100));
    let (_, full) = mem_stats().allocator.expect("named");
    let grown = full.in_use.expect("known") - before.in_use.expect("known");
    assert!(
        (55 << 20..100 << 20).contains(&grown),
        "{before:?} {full:?}"
    );
    assert!(full.mapped >= full.in_use, "{full:?}");
    black_box(small);
}
