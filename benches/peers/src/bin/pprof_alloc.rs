//! The work under pprof-alloc, around the system's allocator at its default rate, which is also ours.

use pprof_alloc::PprofAlloc;

#[global_allocator]
static ALLOC: PprofAlloc = PprofAlloc::new().with_pprof();

fn main() {
    work::answer();
}
