//! A live record takes at most 64 bytes of memory, a bucket at most 96 and 8 for each frame, the slack of the tables
//! included. One test, so that nothing else grows meanwhile.

mod distinct_stacks;
mod measured;
mod statistics;

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use distinct_stacks::allocate_under;
use measured::Block;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

#[test]
fn records_and_buckets_are_small() {
    // The first bucket maps a chunk for many.
    drop(Block::new(64, 1));

    let before = mem_stats().profiler;
    let mut kept = Vec::with_capacity(200_000);
    // 20 480: 10 GiB at the default rate.
    for records in [1_000, 20_480, 200_000] {
        kept.resize_with(records, || Block::new(64, 1));
        let now = mem_stats().profiler;
        assert!(now.live_records - before.live_records >= records);
        let bytes = (now.memory_bytes - before.memory_bytes) / records;
        println!("{bytes} bytes a live record at {records}");
        assert!(bytes <= 64, "{bytes} bytes a live record at {records}");
    }
    drop(kept);

    let before = mem_stats().profiler;
    // Fewer than three quarters of the limit, beyond which sizes are mixed.
    let sizes = 100_000..120_000;
    for size in sizes.clone() {
        drop(allocate_under(size, size));
    }
    let now = mem_stats().profiler;
    let buckets = now.buckets - before.buckets;
    assert!(buckets >= sizes.len());
    let bytes = (now.memory_bytes - before.memory_bytes) / buckets;
    let profile = HeapProfile::capture().expect("installed");
    let of_size = |record: &&debug_pprof::HeapRecord| record.size() == Some(sizes.start);
    let record = profile.records().iter().find(of_size);
    let frames = record.expect("sampled at rate 1").stack().count();
    println!("{bytes} bytes a bucket of {frames} frames");
    assert!(
        bytes <= 96 + 8 * frames,
        "{bytes} bytes for {frames} frames"
    );
}
