//! Where new sizes of a stack are counted together, totals stay exact whatever a program does with its allocator.

mod random_operations;

use debug_pprof::{Limits, ProfiledAllocator};
use random_operations::{Refusing, Wrapper};

const LIMITS: Limits = Limits {
    // A few of which are for mixed sizes, of the few stacks that there are.
    buckets: 24,
    live_records: 12,
    ..Limits::DEFAULT
};

static WRAPPER: Wrapper = ProfiledAllocator::new(Refusing)
    .sample_every(1)
    .limits(LIMITS);

#[test]
fn random_operations_near_the_bucket_limit_keep_totals() {
    random_operations::check(&WRAPPER, LIMITS, &[1, 0]);
    assert!(debug_pprof::mem_stats().profiler.mixed_sizes > 0);
}
