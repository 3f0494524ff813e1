//! glibc's own view of its memory follows what the program holds: in use, and then idle or given back.
#![cfg(target_env = "gnu")]

use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

use debug_pprof::{ProfiledAllocator, mem_stats};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

const MIB: u64 = 1 << 20;

#[test]
fn glibc_says_what_it_holds() {
    // SAFETY: looks a name up.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
    let asked = Instant::now();
    let Some((name, before)) = mem_stats().allocator else {
        assert!(found.is_null(), "glibc since 2.33 has mallinfo2");
        return;
    };
    assert_eq!(name, "glibc");
    let small: Vec<Box<[u8; 1000]>> = (0..40_000).map(|_| Box::new([1; 1000])).collect();
    let large = black_box(vec![1_u8; 100 << 20]);
    let in_use = |view: debug_pprof::stats::AllocatorView| view.in_use.expect("known");
    // The answer is kept for a second, which a busy machine may take for as much as this.
    let (_, kept) = mem_stats().allocator.expect("known");
    assert!(kept == before || asked.elapsed() >= Duration::from_secs(1));
    sleep(Duration::from_millis(1100));
    let (_, full) = mem_stats().allocator.expect("known");
    let grown = in_use(full) - in_use(before);
    assert!(
        (138 * MIB..160 * MIB).contains(&grown),
        "{before:?} {full:?}"
    );
    assert!(full.mapped >= full.in_use, "{full:?}");
    // The last one pins the heap: what is freed below it is idle.
    let mut small = small;
    let last = small.pop();
    drop((small, large));
    sleep(Duration::from_millis(1100));
    let (_, empty) = mem_stats().allocator.expect("known");
    assert!(
        in_use(full) - in_use(empty) > 138 * MIB,
        "{full:?} {empty:?}"
    );
    assert!(empty.idle.expect("known") > 30 * MIB, "{empty:?}");
    drop(last);
}
