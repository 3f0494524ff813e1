//! The CPU profile of several threads that spend three quarters of their time in one function and the rest in another says so
//! within 3 points, and as much time in all as the kernel has counted, within 3 %: beside a heap profiler that samples
//! everything.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;
mod processor_time;

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::respond;
use http_client::validator::{self, Expect, Kind, Profile};
use processor_time::{of_process, of_thread};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

/// Go's, in nanoseconds.
const PERIOD: i64 = 10_000_000;

const THREADS: u32 = 3;

/// Of processor time that each thread spends in `light`; in `heavy` it spends three of them. In one go: the kernel looks at a
/// thread's clock when its own ticks, so that where a thread goes from one to the other a tick may be in either. On a machine
/// that is busy with other things that is 12 ms for each thread, so 3 points are five standard errors.
const SHARE: Duration = Duration::from_millis(300);

#[inline(never)]
fn heavy() {
    compute(3 * SHARE);
}

#[inline(never)]
fn light() {
    compute(SHARE);
}

#[inline(never)]
fn compute(time: Duration) {
    let start = of_thread();
    while of_thread() - start < time {
        // Each is sampled: this is what ticks interrupt.
        let block = black_box(vec![0_u8; 64]);
        for number in 0..500_u64 {
            black_box(number.wrapping_mul(0x9e37_79b9));
        }
        drop(block);
    }
}

/// What a profile says, and the processor time that the kernel has counted in it. All computing is done well within it.
fn taken() -> (Profile, Duration) {
    for seconds in [4, 12, 36] {
        let (releases, released): (Vec<_>, Vec<_>) =
            (0..THREADS).map(|_| mpsc::channel::<()>()).unzip();
        let threads = released.into_iter().map(|released| {
            thread::spawn(move || {
                released.recv().expect("a start");
                heavy();
                light();
            })
        });
        let threads: Vec<_> = threads.collect();
        let start = Instant::now();
        let target = format!("/debug/pprof/profile?seconds={seconds}");
        let answer = thread::spawn(move || respond(&Request::get(&target)));
        thread::sleep(Duration::from_millis(700));
        let before = of_process();
        for release in releases {
            release.send(()).expect("a thread that waits");
        }
        for thread in threads {
            thread.join().expect("no panic");
        }
        let used = of_process() - before;
        let was_in_time = start.elapsed() < Duration::from_millis(seconds * 1000 - 200);
        let answer = answer.join().expect("no panic");
        assert_eq!(answer.status, 200, "{}", answer.text());
        if !was_in_time {
            println!("a busy machine: {:?}", start.elapsed());
            continue;
        }
        let expect = Expect::new(Kind::Cpu).period(PERIOD);
        return (validator::assert_valid(&answer.body, expect), used);
    }
    panic!("a machine that is too busy for this test");
}

#[test]
fn cpu_shares_are_right() {
    // What is made once: tables of what is loaded, names.
    respond(&Request::get("/debug/pprof/goroutine"));
    let (profile, used) = taken();
    let through = |function: &str| profile.through(function, "cpu") as f64 / 1e9;
    let (heavy, light) = (through("::heavy"), through("::light"));
    let share = heavy / (heavy + light);
    let (total, used) = (profile.total("cpu") as f64 / 1e9, used.as_secs_f64());
    println!(
        "heavy {share:.4}; in all {total:.3} s, getrusage {used:.3} s; {:?}",
        profile.comments()
    );
    assert_eq!(profile.total("cpu"), profile.total("samples") * PERIOD);
    assert!((share - 0.75).abs() < 0.03, "{share}");
    assert!(
        (total / used - 1.0).abs() < 0.03,
        "{total} s are not {used} s"
    );
}
