//! At rate 1 the profile of a program on system is exact.

mod exactness;

use debug_pprof::ProfiledAllocator;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

#[test]
fn exact_at_rate_1_around_system() {
    exactness::check();
}
