//! Where there is no room for their buckets, samples lose their stacks and sizes, and totals stay exact whatever a program
//! does with its allocator.

mod random_operations;

use debug_pprof::{Limits, ProfiledAllocator};
use random_operations::{Refusing, Wrapper};

const LIMITS: Limits = Limits {
    buckets: 3,
    live_records: 12,
    ..Limits::DEFAULT
};

static WRAPPER: Wrapper = ProfiledAllocator::new(Refusing)
    .sample_every(1)
    .limits(LIMITS);

#[test]
fn random_operations_beyond_the_buckets_keep_totals() {
    random_operations::check(&WRAPPER, LIMITS, &[1, 0]);
    assert!(debug_pprof::mem_stats().profiler.folded_bucket_limit > 0);
}
