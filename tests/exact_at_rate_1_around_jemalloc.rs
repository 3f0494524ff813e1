//! At rate 1 the profile of a program on jemalloc is exact.

mod exactness;

use debug_pprof::ProfiledAllocator;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: ProfiledAllocator<Jemalloc> = ProfiledAllocator::new(Jemalloc);

#[test]
fn exact_at_rate_1_around_jemalloc() {
    exactness::check();
}
