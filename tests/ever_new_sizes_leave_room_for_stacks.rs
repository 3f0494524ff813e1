//! A call site that asks for ever new sizes does not use up the buckets of all others: each stack that comes later is seen,
//! totals are exact, what is freed is taken off to the last byte, and the profile says how many sizes it lacks.

mod distinct_stacks;
mod idle_harness;
mod measured;
mod statistics;
mod validator;

use std::collections::HashSet;

use debug_pprof::{HeapProfile, HeapRecord, HeapValues, Limits, ProfiledAllocator, ProfilerStats};
use distinct_stacks::allocate_under;
use measured::Block;
use validator::{Kind, assert_valid};

const LIMITS: Limits = Limits {
    buckets: 1_000,
    ..Limits::DEFAULT
};
/// Sizes that the call site asks for.
const SIZES: usize = 5_000;
/// Stacks that come later: as many as the last quarter has room for, less what else the process does.
const STACKS: usize = 150;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

fn capture() -> HeapProfile {
    HeapProfile::capture().expect("installed")
}

fn stats() -> ProfilerStats {
    debug_pprof::mem_stats().profiler
}

#[inline(never)]
fn grows_forever(size: usize) -> Block {
    Block::new(100_000 + size, 1)
}

/// What `work` allocated and kept, by the profile.
fn growth<T>(work: impl FnOnce() -> T) -> (T, HeapProfile) {
    let before = capture();
    let kept = work();
    (kept, capture().since(&before))
}

fn in_use(profile: &HeapProfile) -> (i64, i64) {
    let HeapValues {
        inuse_objects,
        inuse_space,
        ..
    } = profile.total();
    (inuse_objects, inuse_space)
}

// One test: the steps share one process's tables.
#[test]
fn ever_new_sizes_leave_room_for_stacks() {
    idle_harness::wait();
    let mut kept = Vec::with_capacity(SIZES / 50 + 1);
    let ((), grown) = growth(|| {
        for size in 0..SIZES {
            let block = grows_forever(size);
            if size % 50 == 0 {
                kept.push(block);
            }
        }
    });
    let bytes = |sizes: &dyn Fn(usize) -> bool| {
        let sizes = (0..SIZES).filter(|size| sizes(*size));
        sizes.map(|size| 100_000 + size as i64).sum::<i64>()
    };
    let total = grown.total();
    let allocated = (total.alloc_objects, total.alloc_space);
    assert_eq!(allocated, (SIZES as i64, bytes(&|_| true)));
    let kept_bytes = bytes(&|size| size % 50 == 0);
    assert_eq!(in_use(&grown), (kept.len() as i64, kept_bytes));
    // Beyond three quarters of the buckets, in one.
    let sized = grown.records().iter();
    let sized = sized.filter(|record| record.size().is_some()).count();
    assert!(sized <= LIMITS.buckets * 3 / 4, "{sized}");
    let mixed: Vec<&HeapRecord> = grown
        .records()
        .iter()
        .filter(|record| record.size().is_none())
        .collect();
    let [mixed] = mixed[..] else {
        panic!("{mixed:?}");
    };
    assert!(mixed.stack().count() > 3);
    assert_eq!(mixed.estimate().alloc_objects as usize, SIZES - sized);
    // Those, and the few that this test has asked for since.
    let counted = stats().mixed_sizes as usize;
    assert!((0..20).contains(&(counted - (SIZES - sized))), "{counted}");

    // Others are seen, each with its stack.
    let mut others = Vec::with_capacity(STACKS);
    let ((), grown) = growth(|| others.extend((0..STACKS).map(|path| allocate_under(path, 777))));
    assert_eq!(in_use(&grown), (STACKS as i64, STACKS as i64 * 777));
    let stacks: HashSet<Vec<usize>> = grown
        .records()
        .iter()
        .map(|record| {
            assert_eq!(record.estimate().inuse_space, 777);
            record.stack().collect()
        })
        .collect();
    assert_eq!(stacks.len(), STACKS);
    assert_eq!(stats().folded_bucket_limit, 0);

    // And written so: without a size, with the name of who asked. What reads it has stacks enough to fill all buckets.
    debug_pprof::set_sample_rate(0);
    let mut body = Vec::new();
    let profile = capture();
    profile.write_pprof(&mut body).expect("a vector takes all");
    let written = assert_valid(&body, Kind::Heap);
    assert_eq!(written.total("inuse_space"), profile.total().inuse_space);
    let comments = written.comments().join("\n");
    assert!(
        comments.contains("samples lack their object size"),
        "{comments}"
    );
    if cfg!(feature = "symbolize") {
        let of_mixed = |stack: &validator::Stack| {
            !stack.numeric_labels.contains_key("bytes") && stack.has("grows_forever")
        };
        assert!(written.stacks().iter().any(of_mixed));
        assert_eq!(
            written.through("grows_forever", "alloc_space"),
            bytes(&|_| true)
        );
    }
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a vector takes all");
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains("samples lack their object size"));

    // What is freed is taken off where it was added.
    let ((), freed) = growth(|| {
        kept.clear();
        others.clear();
    });
    let gone = (SIZES.div_ceil(50) + STACKS) as i64;
    let gone_bytes = kept_bytes + STACKS as i64 * 777;
    assert_eq!(in_use(&freed), (-gone, -gone_bytes));
    // Estimates too, though each is of another size: after all is freed nothing is in use, whatever the rate is by then.
    let before = capture();
    debug_pprof::set_sample_rate(4_096);
    let blocks: Vec<Block> = (0..SIZES)
        .map(|size| Block::new(1 + size % 9_000, 1))
        .collect();
    debug_pprof::set_sample_rate(0);
    let grown = capture().since(&before);
    let is_scaled = |record: &HeapRecord| {
        let is_mixed = record.size().is_none() && record.stack().next().is_some();
        is_mixed && record.estimate().inuse_space > record.sampled().inuse_space
    };
    assert!(grown.records().iter().any(is_scaled));
    assert!(grown.inuse_space_error() > 0.0);
    drop(blocks);
    assert_eq!(in_use(&capture().since(&before)), (0, 0));
}
