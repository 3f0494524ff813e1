//! Without the allocator there is nothing to profile, and the error says which two lines are missing.

use debug_pprof::{Error, HeapProfile};

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
    assert!(matches!(debug_pprof::mem_stats(), Err(Error::NotInstalled)));
}

#[test]
fn the_rate_without_the_allocator_is_0_and_stays_so() {
    assert_eq!(debug_pprof::sample_rate(), 0);
    debug_pprof::set_sample_rate(1);
    assert_eq!(debug_pprof::sample_rate(), 0);
    assert!(matches!(HeapProfile::capture(), Err(Error::NotInstalled)));
}
