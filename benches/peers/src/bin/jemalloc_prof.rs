//! The work on jemalloc built with its own profiler, which `_RJEM_MALLOC_CONF` turns on.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Jemalloc = Jemalloc;

fn main() {
    work::answer();
}
