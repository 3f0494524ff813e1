//! Whatever a program does with its allocator, at rate 1 the profile says of each size what a naive profiler counted, the
//! limit on live records included; what other rates sample goes when it is freed.

mod random_operations;

use debug_pprof::{Limits, ProfiledAllocator};
use random_operations::{Refusing, Wrapper};

const LIMITS: Limits = Limits {
    live_records: 12,
    ..Limits::DEFAULT
};

static WRAPPER: Wrapper = ProfiledAllocator::new(Refusing)
    .sample_every(1)
    .limits(LIMITS);

#[test]
fn random_operations_are_counted_exactly() {
    random_operations::check(&WRAPPER, LIMITS, &[1, 1, 0, 8_192]);
}
