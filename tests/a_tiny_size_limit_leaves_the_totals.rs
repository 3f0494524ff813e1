//! A limit on a profile's size that nothing fits under leaves one entry with the totals, and writing it ends.

mod validator;

use debug_pprof::{HeapProfile, Limits, ProfiledAllocator};
use validator::{Kind, assert_valid};

const LIMITS: Limits = Limits {
    profile_bytes: 1,
    profile_samples: 3,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

#[test]
fn a_tiny_size_limit_leaves_the_totals() {
    let kept = vec![1_u8; 100_003];
    let profile = HeapProfile::capture().expect("installed");
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    let written = assert_valid(&body, Kind::Heap);
    assert_eq!(written.function_names(), ["[truncated]"]);
    assert_eq!(written.total("inuse_space"), profile.total().inuse_space);
    assert_eq!(
        written.total("alloc_objects"),
        profile.total().alloc_objects
    );

    // The text form has no limit in bytes; three entries, one of them for the rest, and the same totals.
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a vector takes all");
    let text = String::from_utf8(text).expect("UTF-8");
    let total = profile.total();
    let header = format!(
        "heap profile: {}: {} [",
        total.inuse_objects, total.inuse_space
    );
    assert!(text.starts_with(&header), "{text}");
    let entries = text.lines().filter(|line| line.contains("] @ 0x")).count();
    assert_eq!(entries, 3, "{text}");
    assert!(
        text.contains("[truncated]") && text.contains(": 100003 ["),
        "{text}"
    );
    drop(kept);
}
