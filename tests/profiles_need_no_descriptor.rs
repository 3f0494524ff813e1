//! A profile that is taken while the process has no file descriptor left is valid, and has the names that an earlier one
//! had; names that nobody has asked for before come with the next profile.
#![cfg(target_os = "linux")]

mod validator;

use std::fs::File;
use std::hint::black_box;

use debug_pprof::{HeapProfile, ProfiledAllocator, set_sample_rate};
use validator::{Expect, Kind, Profile, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(0);

const SIZE: usize = 12_345;

/// The validator allocates a lot: only what the test is about is sampled.
fn sampled(allocate: fn() -> Vec<u8>) -> Vec<u8> {
    set_sample_rate(1);
    let block = allocate();
    set_sample_rate(0);
    block
}

#[inline(never)]
fn named_before() -> Vec<u8> {
    black_box(Vec::with_capacity(SIZE))
}

#[inline(never)]
fn named_after() -> Vec<u8> {
    black_box(Vec::with_capacity(SIZE))
}

fn profile() -> Profile {
    let mut body = Vec::new();
    let profile = HeapProfile::capture().expect("installed");
    profile.write_pprof(&mut body).expect("a vector takes all");
    assert_valid(&body, Expect::new(Kind::Heap))
}

fn bytes_in(profile: &Profile, function: &str) -> i64 {
    profile.through(function, "inuse_space")
}

#[test]
fn names_that_were_known_stay_and_new_ones_wait() {
    let limit = libc::rlimit {
        rlim_cur: 64,
        rlim_max: 64,
    };
    // SAFETY: `limit` is a valid rlimit and is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let size = SIZE as i64;
    let names = cfg!(feature = "symbolize");

    let before = sampled(named_before);
    let with_descriptors = profile();
    let known = if names { size } else { 0 };
    assert_eq!(bytes_in(&with_descriptors, "named_before"), known);

    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    let after = sampled(named_after);
    let without = profile();
    assert_eq!(bytes_in(&without, "named_before"), known);
    assert_eq!(bytes_in(&without, "named_after"), 0);
    // What has no name is shown by its place in the file.
    assert!(without.total("inuse_space") >= 2 * size);
    assert_eq!(without.main_binary(), with_descriptors.main_binary());

    drop(hoard);
    assert_eq!(bytes_in(&profile(), "named_after"), known);
    drop((before, after));
}
