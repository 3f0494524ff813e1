//! Attacks at random, several at a time, for two seconds (a minute with `DEBUG_PPROF_LONG`): the process lives, answers when
//! they end, and holds what it held before.
//!
//! The seed is printed, and can be given again as `STATISTICS_SEED`; what the threads make of it differs.
#![cfg(all(feature = "http", target_os = "linux"))]

mod attack;
mod http_client;
mod statistics;

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use attack::process::Process;
use attack::table::{DEADLY, RUDE, SLOW};
use attack::{HANG, answers, baseline, settles};
use statistics::Random;

const ATTACKERS: usize = 3;

#[test]
fn the_process_is_as_it_was() {
    let is_long = env::var_os("DEBUG_PPROF_LONG").is_some();
    let all: Vec<_> = [DEADLY, SLOW, RUDE].into_iter().flatten().collect();
    let server = Process::start("this_crate");
    let before = baseline(&server, 16);
    let end = Instant::now() + Duration::from_secs(if is_long { 60 } else { 2 });
    let seed = Random::seed_of_this_run();
    let counts: Vec<usize> = thread::scope(|scope| {
        let attack = |nth: usize| {
            let mut random = Random::seeded(seed.wrapping_add(nth as u64));
            let mut count = 0;
            while Instant::now() < end {
                drop((all[random.below(all.len())].run)(&server));
                assert_eq!(server.alive(), Ok(()));
                count += 1;
            }
            count
        };
        let attackers: Vec<_> = (0..ATTACKERS)
            .map(|nth| scope.spawn(move || attack(nth)))
            .collect();
        let join = |one: thread::ScopedJoinHandle<'_, usize>| one.join().expect("no panic");
        attackers.into_iter().map(join).collect()
    });
    println!("{counts:?} attacks");
    assert_eq!(answers(&server, HANG), Ok(()));
    assert_eq!(settles(&server, before, HANG), Ok(()));
}
