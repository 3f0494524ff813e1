//! Call stacks that are all different, three times as many as the default limits allow, at rate 1: the profiler's memory
//! stays within what the limits come to, and what is kept plus what is folded is exactly the total. A million in the
//! long form.

mod idle_harness;
mod measured;
mod own_process;
mod statistics;

use std::arch::asm;

use debug_pprof::{HeapProfile, HeapValues, Limits, ProfiledAllocator, mem_stats};
use measured::Block;
use own_process::is_long;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Blocks that stay, one in so many.
const KEPT: usize = 50;
const SIZE: usize = 48;

/// Before and after a call: it is not the same code as the next site's. Sites that differ in values only, or on one side
/// only, are one call in a release build.
macro_rules! site {
    ($site:literal) => {
        // SAFETY: a comment, no instruction.
        unsafe { asm!("/* {} */", const $site, options(nomem, nostack, preserves_flags)) }
    };
}

/// Allocates under a stack of its own for each `path` below 100^`depth`. Flat, and with many call sites instead: a debug
/// build takes its time for each frame.
#[inline(never)]
fn below(depth: u32, path: usize) -> Block {
    if depth == 0 {
        return Block::new(SIZE, 1);
    }
    macro_rules! call_sites {
        ($($site:literal)*) => {
            match path % 100 {
                $($site => {
                    site!($site);
                    let block = below(depth - 1, path / 100);
                    site!($site);
                    block
                })*
                _ => unreachable!("below 100"),
            }
        };
    }
    call_sites!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36
        37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69
        70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99
    )
}

/// What buckets may take: each its head, those of the last quarter their totals, its frames, and what is lost at the ends of
/// the arena's chunks.
fn buckets_limit(mean_depth: usize) -> usize {
    let all = Limits::DEFAULT.buckets;
    (all * (64 + 8 * (mean_depth + 1)) + all / 4 * 80) * 51 / 50
}

#[test]
fn stacks_without_end_stay_within_the_limits() {
    // On a thread with few frames below.
    let thread = std::thread::spawn(check);
    thread.join().expect("no panic");
}

fn check() {
    let stacks = if is_long() {
        1_000_000
    } else {
        3 * Limits::DEFAULT.buckets
    };
    idle_harness::wait();
    let before = HeapProfile::capture().expect("installed");
    let (start, resident) = (mem_stats().profiler, mem_stats().resident_bytes);
    let mut kept = Vec::with_capacity(stacks.div_ceil(KEPT));
    for nth in 0..stacks {
        let block = below(3, nth);
        if nth % KEPT == 0 {
            kept.push(block);
        }
    }
    let stats = mem_stats();
    let profile = HeapProfile::capture().expect("installed");

    // Totals: the list is one allocation.
    let list = (kept.capacity() * size_of_val(&kept[0])) as i64;
    let (all, left) = (stacks as i64, kept.len() as i64);
    assert_eq!(
        profile.since(&before).total(),
        HeapValues {
            alloc_objects: all + 1,
            alloc_space: all * SIZE as i64 + list,
            inuse_objects: left + 1,
            inuse_space: left * SIZE as i64 + list,
        }
    );
    // All buckets there may be, and the rest in the one entry without a stack.
    assert_eq!(stats.profiler.buckets, Limits::DEFAULT.buckets);
    let folded = profile
        .records()
        .iter()
        .find(|record| record.stack().next().is_none());
    let folded = folded
        .expect("the entry of what was folded")
        .sampled()
        .alloc_objects;
    assert_eq!(stats.profiler.folded_bucket_limit as i64, folded);
    let with_a_stack = Limits::DEFAULT.buckets - start.buckets;
    assert!(
        folded >= all - with_a_stack as i64 && folded <= all + 1,
        "{folded}"
    );

    // Memory: of the buckets, of at most 64 bytes for each block that stays, and what there was.
    let limit = buckets_limit(stats.profiler.mean_depth) + 64 * kept.len();
    let grown = stats.profiler.memory_bytes - start.memory_bytes;
    assert!(grown <= limit, "{grown} bytes, at most {limit}");
    // What the kernel says: the profiler's, the blocks, and some for the captures and the tables of the unwinder.
    let resident = stats.resident_bytes.expect("of /proc") - resident.expect("of /proc");
    let limit = limit + kept.len() * 64 + list as usize + (16 << 20);
    assert!(
        resident <= limit as u64,
        "{resident} bytes resident, at most {limit}"
    );

    drop(kept);
    let after = HeapProfile::capture()
        .expect("installed")
        .since(&before)
        .total();
    assert_eq!((after.inuse_objects, after.inuse_space), (0, 0));
    // Here, because the harness keeps what is printed.
    println!(
        "{grown} bytes, {resident} resident, for {} buckets",
        stats.profiler.buckets
    );
}
