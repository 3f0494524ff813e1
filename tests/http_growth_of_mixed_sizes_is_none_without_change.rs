//! `heap?since=` shows no growth of a stack whose sizes are counted together and that has neither allocated nor freed: a
//! snapshot keeps counts, of which the bytes are known by their mean only.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod http_client;
mod idle_harness;

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use debug_pprof::http::Request;
use debug_pprof::{Limits, ProfiledAllocator};
use http_client::respond;
use http_client::validator::{Expect, Kind, Profile, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(Limits {
    buckets: 512,
    ..Limits::DEFAULT
});

const SIZES: usize = 2_000;

#[inline(never)]
fn ever_new(size: usize) -> Vec<u8> {
    black_box(vec![1; 50_000 + size])
}

fn grown() -> Profile {
    loop {
        let answer = respond(&Request::get("/heap?since=1h"));
        // The watch has only just begun.
        if answer.status != 503 {
            assert_eq!(answer.status, 200, "{}", answer.text());
            return assert_valid(&answer.body, Expect::new(Kind::Heap).delta());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn http_growth_of_mixed_sizes_is_none_without_change() {
    idle_harness::wait();
    let mut kept: Vec<_> = (0..SIZES).map(ever_new).collect();
    // What stays is the larger half, so its mean is not that of all there were.
    kept.drain(..SIZES / 2);
    assert!(debug_pprof::mem_stats().profiler.mixed_sizes > 0);
    let of = |profile: &Profile| {
        ["inuse_space", "inuse_objects", "alloc_space"]
            .map(|values| profile.through("without_change::ever_new", values))
    };
    assert_eq!(of(&grown()), [0; 3]);
    kept.truncate(SIZES / 4);
    let [bytes, objects, allocated] = of(&grown());
    assert_eq!((objects, allocated), (-(SIZES as i64) / 4, 0));
    // By their mean.
    assert!((-28_000_000..-22_000_000).contains(&bytes), "{bytes}");
}
