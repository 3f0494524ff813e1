//! The work on mimalloc, profiled; the rate is `DEBUG_PPROF_RATE` or the default.

use debug_pprof::ProfiledAllocator;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: ProfiledAllocator<MiMalloc> = ProfiledAllocator::new(MiMalloc);

fn main() {
    debug_pprof_bench_sides::ready_unless_counting();
    work::answer();
}
