//! `goroutine` has every thread of the process: its name and its stack, of those that wait, compute, sleep or run a signal
//! handler of the program's; also where no allocator of ours is installed, and in a fork child.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use http_client::answered;
use http_client::validator::{self, Expect, Kind};

/// Generous: nothing is measured by it.
const WATCHDOG: Duration = Duration::from_secs(60);

static STOP: AtomicBool = AtomicBool::new(false);
static NEVER: Mutex<bool> = Mutex::new(false);
static CHANGED: Condvar = Condvar::new();

#[inline(never)]
fn waits_for_a_condition() {
    let mut never = NEVER.lock().unwrap();
    while !*never {
        never = CHANGED.wait(never).unwrap();
    }
}

#[inline(never)]
fn waits_for_a_message() {
    let (sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv();
    drop(sender);
}

#[inline(never)]
fn sleeps() {
    while !STOP.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(600));
    }
}

#[inline(never)]
fn computes() {
    let mut sum = 0_u64;
    while !STOP.load(Ordering::Relaxed) {
        sum = black_box(sum.wrapping_mul(3) + 1);
    }
}

const KINDS: [(&str, fn()); 4] = [
    ("waits-cond", waits_for_a_condition),
    ("waits-recv", waits_for_a_message),
    ("sleeps", sleeps),
    ("computes", computes),
];
const FUNCTIONS: [&str; 4] = [
    "waits_for_a_condition",
    "waits_for_a_message",
    "sleeps",
    "computes",
];

/// The blocks of `debug=2`: name, words between brackets, the rest.
fn blocks() -> Vec<(String, String, String)> {
    let text = answered("/debug/pprof/goroutine?debug=2").text();
    let block = |block: &str| {
        let (head, rest) = block.split_once('\n').expect("a head");
        let (thread, doing) = head.split_once(" [").expect("a state");
        assert!(thread.starts_with("thread "), "{head}");
        let name = thread.split('"').nth(1).expect("a name").to_owned();
        let doing = doing.strip_suffix("]:").expect("its end").to_owned();
        (name, doing, rest.to_owned())
    };
    text.split("\n\n").map(block).collect()
}

#[test]
fn goroutine_lists_every_thread_with_its_stack() {
    for nth in 0..6 {
        for (name, work) in KINDS {
            if name == "computes" && nth > 1 {
                continue;
            }
            thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .unwrap();
        }
    }
    let expected = |name: &str| if name == "computes" { 2 } else { 6 };
    // A machine that is busy with other things gives a thread that computes no turn in time.
    let start = Instant::now();
    loop {
        let blocks = blocks();
        let is_complete = KINDS.iter().zip(FUNCTIONS).all(|((name, _), function)| {
            let has_stack = |block: &&(String, String, String)| {
                block.0 == *name && block.2.contains(&format!("::{function}(...)\n\t"))
            };
            blocks.iter().filter(has_stack).count() == expected(name)
        });
        if is_complete {
            for (name, doing, rest) in &blocks {
                println!("{name} [{doing}]\n{rest}\n");
            }
            let doing = |name: &str| &blocks.iter().find(|block| block.0 == name).unwrap().1;
            assert!(
                doing("waits-recv").starts_with("futex wait, "),
                "{}",
                doing("waits-recv")
            );
            assert!(
                doing("sleeps").starts_with("sleep, "),
                "{}",
                doing("sleeps")
            );
            assert!(
                doing("computes").starts_with("running, "),
                "{}",
                doing("computes")
            );
            break;
        }
        assert!(start.elapsed() < WATCHDOG, "{blocks:#?}");
    }

    let text = answered("/debug/pprof/goroutine?debug=1").text();
    println!("{text}");
    let total: usize = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("goroutine profile: total "))
        .expect("Go's head")
        .parse()
        .expect("a number");
    assert!(total > 6 * 3 + 2, "{total}");
    assert!(
        text.contains("# labels: {\"thread\":\"waits-cond\"}"),
        "{text}"
    );

    let answer = answered("/debug/pprof/goroutine");
    let profile = validator::assert_valid(&answer.body, Expect::new(Kind::Goroutine).period(1));
    assert!(profile.total("goroutine") >= 21);
    assert_eq!(profile.through("::waits_for_a_message", "goroutine"), 6);

    let text = answered("/debug/pprof/threadcreate?debug=1").text();
    println!("{text}");
    STOP.store(true, Ordering::Relaxed);
}
