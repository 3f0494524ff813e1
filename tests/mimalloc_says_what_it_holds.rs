//! The adapter for mimalloc says what mimalloc holds: it grows by what the program allocates.
#![cfg(feature = "mimalloc")]

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

use debug_pprof::stats::{Mimalloc, set_allocator_view};
use debug_pprof::{ProfiledAllocator, mem_stats};
use mimalloc::MiMalloc as Inner;

#[global_allocator]
static ALLOC: ProfiledAllocator<Inner> = ProfiledAllocator::new(Inner);

#[test]
fn mimalloc_says_what_it_holds() {
    assert_eq!(mem_stats().allocator, None, "nobody has named it");
    set_allocator_view(&Mimalloc);
    let (name, before) = mem_stats().allocator.expect("named");
    assert_eq!(name, "mimalloc");
    let small: Vec<Box<[u8; 1000]>> = (0..60_000).map(|_| Box::new([1; 1000])).collect();
    sleep(Duration::from_millis(1100));
    let (_, full) = mem_stats().allocator.expect("named");
    let grown = full.active.expect("known") - before.active.expect("known");
    assert!(
        (55 << 20..100 << 20).contains(&grown),
        "{before:?} {full:?}"
    );
    assert!(full.mapped >= full.active, "{full:?}");
    black_box(small);
}
