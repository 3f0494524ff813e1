//! The walk by stack-delta tables finds what the `backtrace` crate finds, frame by frame, in every kind of build: the
//! program in `tests/stack_corpus` takes the stack of each of its allocations both ways and compares them.
//!
//! The stacks differ in nothing but their leaf frame, which is taken at two places of the wrapper.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))]

mod corpus;

use std::process::Command;

use corpus::built;

/// Builds the corpus with `settings` for its profile and with `flags` for rustc, runs it, and returns what it says.
fn compared(profile: &str, settings: &[&str], flags: &str) {
    let program = built("stack_corpus", profile, settings, flags);
    let output = Command::new(program).output().expect("it was built");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn in_a_debug_build() {
    compared("dev", &[], "");
}

#[test]
fn in_a_release_build() {
    compared("release", &[], "");
}

#[test]
fn with_fat_lto() {
    let settings = [
        "profile.fat.inherits='release'",
        "profile.fat.lto='fat'",
        "profile.fat.codegen-units=1",
    ];
    compared("fat", &settings, "");
}

#[test]
fn optimized_for_size() {
    let settings = [
        "profile.small.inherits='release'",
        "profile.small.opt-level='z'",
    ];
    compared("small", &settings, "");
}

#[test]
fn with_panic_abort() {
    let settings = [
        "profile.abort.inherits='release'",
        "profile.abort.panic='abort'",
    ];
    compared("abort", &settings, "");
}

#[test]
fn with_frame_pointers() {
    compared("release", &[], "-C force-frame-pointers=yes");
}
