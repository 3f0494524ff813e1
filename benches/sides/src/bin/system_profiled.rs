//! The work on the system's allocator, profiled; the rate is `DEBUG_PPROF_RATE` or the default.

use debug_pprof::ProfiledAllocator;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

fn main() {
    debug_pprof_bench_sides::ready_unless_counting();
    work::answer();
}
