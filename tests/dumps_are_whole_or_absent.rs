//! A process that is killed in the middle of writing a dump leaves no half file under a dump's name, and the next one clears
//! away what it left half done.
//!
//! A child dumps without pause, and is killed after a random time. Each file with a dump's name must be a whole profile.

mod child_process;
mod dump_dir;
mod statistics;
mod validator;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, hint, mem, thread};

use debug_pprof::{BlackBox, ProfiledAllocator, set_sample_rate};
use dump_dir::{DumpDir, dumps, names};
use statistics::Random;
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const TEST: &str = "files_of_killed_writers_are_whole";

/// Random seeds of the times of death; more with all the time in the world.
const SEEDS: (usize, usize) = (20, 500);

/// Sizes that make so many entries: a dump takes some milliseconds.
const SIZES: usize = 300;

fn dump_for_ever() -> ! {
    let held: Vec<Vec<u8>> = (1..SIZES)
        .map(|size| vec![0; hint::black_box(size)])
        .collect();
    let started = BlackBox::builder()
        .dir(dump_dir::told())
        .share_of_limit(None)
        .pressure(None)
        .keep(2)
        .start();
    started.expect("it starts");
    loop {
        BlackBox::dump().expect("a dump");
        hint::black_box(&held);
    }
}

/// What a process that was killed leaves besides its dumps.
fn is_of_the_dead(name: &str) -> bool {
    name.ends_with(".tmp") || name.starts_with("running")
}

#[test]
fn files_of_killed_writers_are_whole() {
    if child_process::case().is_some() {
        dump_for_ever();
    }
    // At rate 1 a profile is read at a hundredth of the speed.
    set_sample_rate(0);
    let dir = DumpDir::new("whole");
    let mut half_done = 0;
    let mut left: Vec<String> = Vec::new();
    let mut whole: HashSet<PathBuf> = HashSet::new();
    let often = child_process::times(SEEDS.0, SEEDS.1);
    for seed in 0..often + 50 {
        // Until one was killed while it wrote, as every second or third is.
        if seed >= often && half_done > 0 {
            break;
        }
        let mut random = Random::seeded(seed as u64);
        let mut command = Command::new(env::current_exe().expect("this program"));
        dir.told(child_process::command_of(&mut command, TEST, "dump"));
        let mut child = dump_dir::start(&mut command);
        // Of its own: those of the ones before it are there.
        dir.wait_for_another_than(&whole);
        thread::sleep(Duration::from_micros(random.next() % 20_000));
        child.kill().expect("our child");
        child.wait().expect("our child");
        let before = mem::replace(&mut left, names(dir.path()));
        half_done += left.iter().filter(|name| name.ends_with(".tmp")).count();
        for dump in dumps(dir.path()) {
            if whole.insert(dump.clone()) {
                let body = fs::read(&dump).expect("readable");
                assert_valid(&body, Expect::new(Kind::Heap).raw().period(1));
            }
        }
        // Each clears away what the one before it left, and leaves one sign of life and one half dump at most.
        let dead = |names: &[String]| -> Vec<String> {
            let dead = names.iter().filter(|name| is_of_the_dead(name));
            dead.cloned().collect()
        };
        let (before, now) = (dead(&before), dead(&left));
        assert!(now.iter().all(|name| !before.contains(name)), "{left:?}");
        assert!(now.len() <= 2, "{left:?}");
    }
    assert!(half_done > 0, "none was killed while it wrote");
}
