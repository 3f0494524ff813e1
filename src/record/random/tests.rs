//! Streams: uniform, and nothing in common between threads or between a process and its fork children.

use super::*;
use crate::statistics::anderson_darling::assert_uniform;
use crate::statistics::{CHANCE, correlation};

#[test]
fn two_threads_never_share_a_seed() {
    let seeds = Seeds::new();
    let mut given: Vec<u64> = (0..10_000).map(|_| seeds.next().1).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 10_000);
}

#[test]
fn first_draws_of_many_threads_are_uniform_and_independent() {
    let seeds = Seeds::new();
    let first = |_| Random::unseeded().uniform(&seeds);
    let draws: Vec<f64> = (0..100_000).map(first).collect();
    assert_uniform("first draws of 100 000 threads", &draws, CHANCE);
    for lag in [1, 2] {
        correlation::assert_none(&format!("first draws, {lag} threads apart"), &draws, lag);
    }
}

#[test]
fn streams_of_threads_that_start_together_are_independent() {
    let seeds = Seeds::new();
    let threads: Vec<Random> = (0..1_000).map(|_| Random::unseeded()).collect();
    // The nth draws of all threads, for one n after the other.
    let draws: Vec<f64> = (0..200)
        .flat_map(|_| threads.iter().map(|thread| thread.uniform(&seeds)))
        .collect();
    assert_uniform("draws of 1 000 threads in turn", &draws, CHANCE);
    correlation::assert_none("draws of neighbours", &draws, 1);
    correlation::assert_none("draws of one thread", &draws, threads.len());
    correlation::assert_none("draws of neighbours, one later", &draws, threads.len() + 1);
}

#[test]
fn a_stream_is_seeded_anew_in_a_new_process_generation() {
    let seeds = Seeds::new();
    let thread = Random::unseeded();
    thread.uniform(&seeds);
    let page = seeds.page.load(Ordering::Acquire);
    // What fork does to the child's page.
    // SAFETY: the page is mapped, see `process`.
    unsafe { &*page }.store(0, Ordering::Relaxed);
    let before = thread.seeded_in.get();
    thread.uniform(&seeds);
    assert_ne!(thread.seeded_in.get(), before);
}
