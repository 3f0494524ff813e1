//! At every limit samples are folded into an entry that says so: totals stay true, the fold is counted, and the
//! profile's comment tells.

mod distinct_stacks;
mod idle_harness;
mod measured;
mod statistics;
mod validator;

use std::hint::black_box;

use debug_pprof::{HeapProfile, HeapRecord, HeapValues, Limits, ProfiledAllocator, ProfilerStats};
use distinct_stacks::allocate_under;
use validator::{Kind, Profile, assert_valid};

const LIMITS: Limits = Limits {
    buckets: 1_000,
    live_records: 1_000,
    depth: 24,
    profile_samples: 50,
    profile_bytes: 65_536,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

fn capture() -> HeapProfile {
    HeapProfile::capture().expect("installed")
}

fn stats() -> ProfilerStats {
    debug_pprof::mem_stats().profiler
}

fn written(profile: &HeapProfile) -> Profile {
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    assert_valid(&body, Kind::Heap)
}

/// What `work` allocated and kept, by the profile.
fn growth<T>(work: impl FnOnce() -> T) -> (T, HeapValues) {
    let before = capture();
    let kept = work();
    (kept, capture().since(&before).total())
}

/// Allocates under `depth` frames of its own.
#[inline(never)]
fn deep(depth: usize, size: usize) -> Vec<u8> {
    let block = if depth == 0 {
        vec![1; size]
    } else {
        deep(depth - 1, size)
    };
    black_box(block)
}

// One test: the steps share one process's tables, and each fills another.
#[test]
fn limits_fold_and_keep_totals() {
    idle_harness::wait();
    // Depth: the stack keeps its leaf and says that the root is missing.
    let block = deep(60, 5_432_101);
    let profile = capture();
    // Of this size alone: the test harness's own thread may be allocating still.
    let is_block = |record: &&HeapRecord| record.size() == Some(5_432_101);
    let found: Vec<_> = profile.records().iter().filter(is_block).collect();
    assert!(matches!(*found, [one] if one.estimate().inuse_objects == 1));
    let profile = written(&profile);
    let stacks = profile.stacks();
    let stack = stacks
        .iter()
        .find(|stack| stack.numeric_labels.get("bytes") == Some(&5_432_101))
        .expect("the stack");
    if cfg!(feature = "symbolize") {
        let leaf = stack.frames.first();
        assert!(
            leaf.is_some_and(|leaf| leaf.name.ends_with("::deep")),
            "{stack:?}"
        );
    }
    assert!(
        stack
            .frames
            .last()
            .is_some_and(|root| root.name == "[stack truncated]"),
        "{stack:?}"
    );
    assert!(stats().truncated_stacks > 0);
    drop((block, stacks, profile));

    // Buckets: 5 000 sizes under as many stacks, by their leaf sides, are 5 000 buckets. Totals are exact, in-use goes back to where it was.
    let sizes = 10_000..15_000_usize;
    let ((), grown) = growth(|| {
        sizes
            .clone()
            .for_each(|size| drop(allocate_under(size << 8, size)))
    });
    let bytes: usize = sizes.clone().sum();
    assert_eq!(
        (grown.alloc_objects, grown.alloc_space),
        (5_000, bytes as i64)
    );
    assert_eq!((grown.inuse_objects, grown.inuse_space), (0, 0));
    // The last quarter was for stacks.
    assert!(stats().mixed_sizes >= LIMITS.buckets as u64 / 4);
    assert_eq!(stats().buckets, LIMITS.buckets);
    assert!(stats().folded_bucket_limit >= 4_000);

    // Folded blocks are recognised when they are freed.
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(500);
    let ((), grown) = growth(|| kept.extend((20_000..20_500).map(|size| vec![1_u8; size])));
    assert_eq!(
        (grown.inuse_objects, grown.inuse_space),
        (500, (20_000..20_500).sum())
    );
    let ((), grown) = growth(|| kept.clear());
    assert_eq!(
        (grown.inuse_objects, grown.inuse_space),
        (-500, -(20_000..20_500_i64).sum::<i64>())
    );

    // Live records: allocated totals stay exact; in-use holds what there was room for, and goes back.
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(3_000);
    let missing = stats().folded_live_limit;
    let ((), grown) = growth(|| kept.extend((0..3_000).map(|_| vec![1_u8; 777])));
    assert_eq!(
        (grown.alloc_objects, grown.alloc_space),
        (3_000, 3_000 * 777)
    );
    assert!(grown.inuse_objects < 1_000, "{grown:?}");
    assert!(stats().live_records <= LIMITS.live_records);
    assert_eq!(
        (stats().folded_live_limit - missing) as i64,
        3_000 - grown.inuse_objects
    );
    let ((), freed) = growth(|| kept.clear());
    assert_eq!(freed.inuse_objects, -grown.inuse_objects);

    // The profile: within its limits, with the totals of all entries.
    let profile = capture();
    let text = written(&profile);
    let names = text.function_names().join(" ");
    assert!(text.proto.sample.len() <= LIMITS.profile_samples);
    assert!(prost::Message::encoded_len(&text.proto) <= LIMITS.profile_bytes);
    assert!(
        names.contains("[truncated]") && names.contains("[over limit]"),
        "{names}"
    );
    let total = profile.total();
    for (sample_type, expected) in [
        ("alloc_objects", total.alloc_objects),
        ("alloc_space", total.alloc_space),
        ("inuse_objects", total.inuse_objects),
        ("inuse_space", total.inuse_space),
    ] {
        assert_eq!(text.total(sample_type), expected, "{sample_type}");
    }
    let comments = text.comments().join("\n");
    for said in [
        "near the limit on buckets",
        "[over limit]: the limit on buckets",
        "limit on live records",
        "lack their root",
        "profile's size limit",
    ] {
        assert!(comments.contains(said), "{said:?} is not in:\n{comments}");
    }
    // The text form tells as well.
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a vector takes all");
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(
        text.contains("[over limit]") && text.contains("limit on live records"),
        "{text}"
    );
}
