//! Labels that use up nearly all buckets leave room for the stacks of the rest of the program: later stacks have buckets,
//! without their labels, which is said, and no byte is lost.

mod distinct_stacks;
mod measured;
mod statistics;

use debug_pprof::labels::scope;
use debug_pprof::{HeapProfile, Limits, ProfiledAllocator};
use distinct_stacks::allocate_under;

const LIMITS: Limits = Limits {
    buckets: 4_000,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

const SIZE: usize = 40_009;
const LATE: usize = 40_013;

#[test]
fn later_stacks_have_buckets() {
    // 4 000 sets on each of four stacks.
    for nth in 0..4_000 {
        let request = nth.to_string();
        scope(&[("request", &request)], || {
            (0..4).for_each(|path| drop(allocate_under(path, SIZE)));
        });
    }
    let stats = || debug_pprof::mem_stats().profiler;
    let before = stats();
    assert!(before.mixed_labels > 0 && before.folded_bucket_limit == 0);
    let late: Vec<_> = (100..200)
        .map(|path| scope(&[("request", "late")], || allocate_under(path, LATE)))
        .collect();
    let now = stats();
    assert_eq!(now.folded_bucket_limit, 0, "{now:?}");
    assert_eq!(now.mixed_labels - before.mixed_labels, late.len() as u64);
    assert!(now.buckets <= LIMITS.buckets);

    let profile = HeapProfile::capture().expect("installed");
    let mixed = profile.records().iter().filter(|record| {
        let values = record.estimate();
        record.size().is_none()
            && record.labels().next().is_none()
            && (values.inuse_objects, values.inuse_space) == (1, LATE as i64)
    });
    assert_eq!(mixed.count(), late.len());
    let allocated: i64 = profile
        .records()
        .iter()
        .filter(|record| record.size() == Some(SIZE) || record.size().is_none())
        .map(|record| record.estimate().alloc_objects)
        .sum();
    assert!(allocated >= 4 * 4_000 + 100, "{allocated}");
    drop(late);
}
