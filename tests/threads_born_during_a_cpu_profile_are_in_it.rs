//! Threads that are made while a CPU profile is taken, and end before it does, are in it, but for what they do before they are
//! found.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;
mod processor_time;

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::respond;
use http_client::validator::{self, Expect, Kind};
use processor_time::of_thread;

const THREADS: u32 = 3;
/// Of processor time, each.
const TIME: Duration = Duration::from_millis(300);

#[inline(never)]
fn born_late() {
    while of_thread() < TIME {
        for number in 0..1_000_u64 {
            black_box(number);
        }
    }
}

#[test]
fn threads_born_during_a_cpu_profile_are_in_it() {
    // What is made once: tables of what is loaded, names.
    respond(&Request::get("/debug/pprof/goroutine"));
    for seconds in [4, 12, 36] {
        let start = Instant::now();
        let target = format!("/debug/pprof/profile?seconds={seconds}");
        let answer = thread::spawn(move || respond(&Request::get(&target)));
        thread::sleep(Duration::from_millis(500));
        for _ in 0..THREADS {
            thread::spawn(born_late).join().expect("no panic");
        }
        let was_in_time = start.elapsed() < Duration::from_millis(seconds * 1000 - 200);
        let answer = answer.join().expect("no panic");
        let profile = validator::assert_valid(&answer.body, Expect::new(Kind::Cpu));
        let seen = profile.through("::born_late", "cpu") as f64 / 1e9;
        let all = (THREADS * TIME).as_secs_f64();
        println!("{seen:.2} of {all:.2} s; {:?}", profile.comments());
        if was_in_time {
            // They are found within 20 ms of a processor's time on a machine that has one for each; here others want them too.
            assert!(seen > 0.6 * all, "{seen} of {all} s");
            assert!(seen < 1.1 * all, "{seen} of {all} s");
            return;
        }
    }
    panic!("a machine that is too busy for this test");
}
