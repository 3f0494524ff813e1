//! The CPU profile of several threads that spend three quarters of their time in one function and one in another says so within
//! 3 points, and as much time in all as the kernel has counted, within 3 %: also of threads that are born meanwhile, and at
//! other rates than Go's.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;
mod processor_time;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use debug_pprof::http::Request;
use http_client::respond;
use http_client::validator::{self, Expect, Kind, Profile};
use processor_time::{of_process, of_thread};

const THREADS: usize = 4;

/// Of processor time that a thread stays in one function, the shorter time.
const TURN: Duration = Duration::from_millis(60);

/// What was spent in `heavy` and in `light`, by the threads' own clocks.
static SPENT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static STOP: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn heavy(turn: Duration) {
    compute(0, turn);
}

#[inline(never)]
fn light(turn: Duration) {
    compute(1, turn);
}

#[inline(never)]
fn compute(nth: usize, turn: Duration) {
    let start = of_thread();
    let mut counted = start;
    while counted - start < turn && !STOP.load(Ordering::Relaxed) {
        for number in 0..2_000_u64 {
            black_box(number.wrapping_mul(0x9e37_79b9));
        }
        let now = of_thread();
        SPENT[nth].fetch_add((now - counted).as_nanos() as u64, Ordering::Relaxed);
        counted = now;
    }
}

fn work() {
    while !STOP.load(Ordering::Relaxed) {
        heavy(3 * TURN);
        light(TURN);
    }
}

/// A profile, and by the clocks: what was spent in the two functions meanwhile, and in all.
fn taken(seconds: u64, more: &str) -> (Profile, [f64; 2], f64) {
    let spent = || {
        SPENT
            .each_ref()
            .map(|spent| spent.load(Ordering::Relaxed) as f64 / 1e9)
    };
    // Beside it, because what the answer is made from is written after the profile's end.
    let truth = thread::spawn(move || {
        let (functions, all) = (spent(), of_process());
        thread::sleep(Duration::from_secs(seconds));
        let (functions_then, all_then) = (spent(), of_process());
        let functions = [0, 1].map(|nth| functions_then[nth] - functions[nth]);
        (functions, (all_then - all).as_secs_f64())
    });
    let target = format!("/debug/pprof/profile?seconds={seconds}{more}");
    let answer = respond(&Request::get(&target));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (functions, all) = truth.join().expect("no panic");
    let period = if more.is_empty() {
        10_000_000
    } else {
        4_000_000
    };
    let profile = validator::assert_valid(&answer.body, Expect::new(Kind::Cpu).period(period));
    for comment in profile.comments() {
        println!("{comment}");
    }
    assert_eq!(profile.total("cpu"), profile.total("samples") * period);
    (profile, functions, all)
}

fn check((profile, functions, all): (Profile, [f64; 2], f64)) {
    let through = |function: &str| profile.through(function, "cpu") as f64 / 1e9;
    let (heavy, light) = (through("::heavy"), through("::light"));
    let (share, truth) = (
        heavy / (heavy + light),
        functions[0] / (functions[0] + functions[1]),
    );
    let total = profile.total("cpu") as f64 / 1e9;
    println!(
        "heavy {share:.4}, by the clocks {truth:.4}; in all {total:.3} s, by the kernel {all:.3} s"
    );
    assert!((share - truth).abs() < 0.03, "{share} is not {truth}");
    assert!(
        (truth - 0.75).abs() < 0.05,
        "the test is not what it says: {truth}"
    );
    assert!(
        (total / all - 1.0).abs() < 0.03,
        "{total} s are not {all} s"
    );
}

#[test]
fn cpu_shares_are_right() {
    // What is made once: tables of what is loaded, names.
    respond(&Request::get("/debug/pprof/goroutine"));
    let threads: Vec<_> = (0..THREADS).map(|_| thread::spawn(work)).collect();
    check(taken(3, ""));
    check(taken(2, "&hz=250"));
    STOP.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("no panic");
    }
}
