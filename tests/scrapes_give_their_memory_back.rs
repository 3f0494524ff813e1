//! Ten scrapes leave the process no bigger than the names that they remember, and the first takes little at its peak:
//! debug information is read, and not kept. A process of its own, because a process has one first scrape.
#![cfg(all(target_os = "linux", feature = "symbolize"))]

#[path = "../benches/scrape/bulk.rs"]
mod bulk;
#[path = "../benches/scrape/memory.rs"]
mod memory;

use std::hint::black_box;
use std::process::Command;

use bulk::{Bulk, SITES, Size};
use debug_pprof::{HeapProfile, ProfiledAllocator};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(0);

/// Small enough to be built in seconds; `benches/scrape` is the same with 100 MB of debug information.
const SIZE: Size = Size {
    functions: 300,
    types: 4,
};

/// Kilobytes: the bar. The names of 1 200 addresses are less than one of them.
const MOST_GROWTH: u64 = 5_000;

/// Kilobytes: half of the bar for a binary many times as large.
const MOST_AT_PEAK: u64 = 40_000;

extern "C" fn leaf() {
    std::mem::forget(black_box(Box::new(7_u8)));
}

fn scrape() -> usize {
    let mut body = Vec::new();
    let profile = HeapProfile::capture().expect("installed");
    profile.write_pprof(&mut body).expect("a vector takes it");
    body.len()
}

#[test]
fn scrapes_give_their_memory_back() {
    // Built by another process: the source's megabytes would change what glibc gives back.
    if std::env::var_os("SCRAPE_IS_BUILT").is_none() {
        bulk::build(SIZE);
        let own = std::env::current_exe().expect("its path");
        let status = Command::new(own).env("SCRAPE_IS_BUILT", "1").status();
        assert!(status.expect("it starts").success());
        return;
    }
    let library = Bulk::load(&bulk::library(SIZE));
    let sites = (SIZE.functions * SITES) as u32;
    for nth in 0..2_000 {
        let path: Vec<u32> = (0..20).map(|step| (nth * 7 + step * 31) % sites).collect();
        debug_pprof::set_sample_rate(1);
        library.run(&path, leaf);
        debug_pprof::set_sample_rate(0);
    }
    let (resident, anonymous) = (memory::resident(), memory::anonymous());
    let (_, peak) = memory::peak(|| assert!(scrape() > 10_000));
    for _ in 1..10 {
        scrape();
    }
    let grown = memory::resident().saturating_sub(resident);
    assert!(grown <= MOST_GROWTH, "{grown} kB stay");
    let peak = peak.saturating_sub(anonymous);
    assert!(peak <= MOST_AT_PEAK, "{peak} kB at the peak");
}
