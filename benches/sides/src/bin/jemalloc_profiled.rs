//! The work on jemalloc, profiled; the rate is `DEBUG_PPROF_RATE` or the default.

use debug_pprof::ProfiledAllocator;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: ProfiledAllocator<Jemalloc> = ProfiledAllocator::new(Jemalloc);

fn main() {
    debug_pprof_bench_sides::ready_unless_counting();
    work::answer();
}
