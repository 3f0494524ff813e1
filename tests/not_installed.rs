//! Without the allocator there is nothing to profile, and the error says which two lines are missing.

use debug_pprof::{Error, HeapProfile, HeapValues};

#[test]
fn capture_without_the_allocator_is_an_error_that_shows_the_missing_lines() {
    let error = HeapProfile::capture().expect_err("no allocator is installed");
    assert!(matches!(error, Error::NotInstalled));
    let text = error.to_string();
    assert!(text.contains("#[global_allocator]"), "{text}");
    assert!(
        text.contains("static ALLOC: debug_pprof::ProfiledAllocator = "),
        "{text}"
    );
}

#[test]
fn the_rate_without_the_allocator_is_0_and_stays_so() {
    assert_eq!(debug_pprof::sample_rate(), 0);
    debug_pprof::set_sample_rate(1);
    assert_eq!(debug_pprof::sample_rate(), 0);
    assert!(matches!(HeapProfile::capture(), Err(Error::NotInstalled)));
}

#[test]
fn memory_statistics_without_the_allocator_have_what_the_system_knows() {
    let stats = debug_pprof::mem_stats();
    assert_eq!(stats.heap, HeapValues::default());
    assert_eq!((stats.sample_rate, stats.inuse_space_error), (0, 0.0));
    assert!(stats.resident_bytes.is_some_and(|bytes| bytes > 0));
}
