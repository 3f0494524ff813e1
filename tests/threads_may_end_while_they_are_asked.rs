//! `goroutine` is asked for again and again while threads come and go by the thousand, and by several at once: the process goes
//! on, each answer is whole, and a thread that stays is in each. The same in children that are forked meanwhile.
#![cfg(all(feature = "http", target_arch = "x86_64", target_env = "gnu"))]

mod http_client;
mod own_process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::respond;
use own_process::{Ended, OwnProcess, is_long, part};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

const TEST: &str = "threads_may_end_while_they_are_asked";

static STOP: AtomicBool = AtomicBool::new(false);

fn goroutines() -> String {
    // Without names, which take the time of a debug build.
    let answer = respond(&Request::get("/debug/pprof/goroutine?symbolize=0"));
    assert_eq!(answer.status, 200);
    respond(&Request::get("/debug/pprof/goroutine?debug=2")).text()
}

fn child_lists_its_thread() {
    // SAFETY: the child asks for its threads, which is what the test is about, and ends with `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            // Ends a child that hangs.
            // SAFETY: no preconditions.
            unsafe { libc::alarm(60) };
            let answer = respond(&Request::get("/debug/pprof/goroutine?symbolize=0"));
            let is_right = answer.status == 200 && !answer.body.is_empty();
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(!is_right)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for our child; `status` is valid to write to.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
    }
}

fn storm() {
    thread::Builder::new()
        .name("stays".into())
        .spawn(|| thread::sleep(Duration::from_secs(3600)))
        .expect("a thread");
    let makers: Vec<_> = (0..3)
        .map(|nth| {
            thread::spawn(move || {
                let mut made = 0_u64;
                while !STOP.load(Ordering::Relaxed) {
                    let work = move || {
                        if nth == 0 {
                            thread::sleep(Duration::from_micros(made % 500));
                        }
                    };
                    thread::spawn(work).join().expect("no panic");
                    made += 1;
                }
                made
            })
        })
        .collect();
    let other = thread::spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            goroutines();
        }
    });
    let seconds = if is_long() { 60 } else { 3 };
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_secs(seconds) || asked < 2 {
        let text = goroutines();
        assert_eq!(text.matches("\"stays\"").count(), 1, "{text}");
        child_lists_its_thread();
        asked += 1;
    }
    STOP.store(true, Ordering::Relaxed);
    other.join().expect("no panic");
    let made: u64 = makers
        .into_iter()
        .map(|maker| maker.join().expect("no panic"))
        .sum();
    println!("asked {asked} times and as many children, {made} threads meanwhile");
    assert!(made > 100);
}

#[test]
fn threads_may_end_while_they_are_asked() {
    match part().as_deref() {
        Some("storm") => storm(),
        _ => match OwnProcess::of(TEST, "storm").ended() {
            Ended::Well(said) => println!("{said}"),
            other => panic!("{other:?}"),
        },
    }
}
