//! The work under dhat, which records each allocation.

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

fn main() {
    // Testing mode writes no file in the end.
    let _profiler = dhat::Profiler::builder().testing().build();
    work::answer();
}
