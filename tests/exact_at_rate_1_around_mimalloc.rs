//! At rate 1 the profile of a program on mimalloc is exact.

mod exactness;

use debug_pprof::ProfiledAllocator;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: ProfiledAllocator<MiMalloc> = ProfiledAllocator::new(MiMalloc);

#[test]
fn exact_at_rate_1_around_mimalloc() {
    exactness::check();
}
