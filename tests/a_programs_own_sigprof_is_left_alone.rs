//! A program that has SIGPROF for itself keeps it: with a handler of its own, ignored, or with `ITIMER_PROF` running the CPU
//! profile is refused with the cause and the remedy, and nothing is changed. Once it is given back, there is a profile; and what
//! comes after its end harms nobody.
#![cfg(all(feature = "http", target_arch = "x86_64", target_env = "gnu"))]

mod http_client;

use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::respond;

static TICKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_tick(_signal: libc::c_int) {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

fn action() -> libc::sighandler_t {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; `now` is valid to write to.
    let asked = unsafe { libc::sigaction(libc::SIGPROF, ptr::null(), now.as_mut_ptr()) };
    assert_eq!(asked, 0);
    // SAFETY: written by the call.
    unsafe { now.assume_init() }.sa_sigaction
}

fn set_action(action: libc::sighandler_t) {
    // SAFETY: a valid handler, or none.
    let set = unsafe { libc::signal(libc::SIGPROF, action) };
    assert_ne!(set, libc::SIG_ERR);
}

/// The program's profiling timer: every `micros` of processor time; 0 stops it.
fn set_timer(micros: libc::suseconds_t) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: micros,
    };
    let times = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: `times` is valid to read.
    let set = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const times, ptr::null_mut()) };
    assert_eq!(set, 0);
}

fn is_timer_running() -> bool {
    // SAFETY: all zeros is a valid value.
    let mut now: libc::itimerval = unsafe { mem::zeroed() };
    // SAFETY: `now` is valid to write to.
    let asked = unsafe { libc::getitimer(libc::ITIMER_PROF, &raw mut now) };
    assert_eq!(asked, 0);
    now.it_interval.tv_usec != 0
}

fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::black_box(0);
    }
}

fn profile() -> (u16, String) {
    let answer = respond(&Request::get("/debug/pprof/profile?seconds=1"));
    let text = match answer.status {
        200 => String::new(),
        _ => answer.text(),
    };
    (answer.status, text)
}

fn assert_refused(cause: &str) {
    let (status, text) = profile();
    assert_eq!(status, 500, "{text}");
    assert!(
        text.starts_with("Could not enable CPU profiling: "),
        "{text}"
    );
    assert!(text.contains(cause), "{text}");
    println!("{text}");
}

#[test]
fn a_programs_own_sigprof_is_left_alone() {
    let own = on_tick as extern "C" fn(libc::c_int) as libc::sighandler_t;
    set_action(own);
    set_timer(5_000);
    assert_refused("handler for SIGPROF");
    assert_eq!(action(), own);
    assert!(is_timer_running());
    let before = TICKS.load(Ordering::Relaxed);
    let start = Instant::now();
    while TICKS.load(Ordering::Relaxed) < before + 3 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "its ticks do not come any more"
        );
        compute(Duration::from_millis(5));
    }
    set_timer(0);
    assert_refused("handler for SIGPROF");

    set_action(libc::SIG_IGN);
    assert_refused("ignores SIGPROF");
    assert_eq!(action(), libc::SIG_IGN);

    set_action(libc::SIG_DFL);
    assert_eq!(profile(), (200, String::new()), "given back");
    let ours = action();
    assert!(ours != libc::SIG_DFL && ours != libc::SIG_IGN);
    // SAFETY: with the default action this would be the end.
    assert_eq!(unsafe { libc::raise(libc::SIGPROF) }, 0);

    // A timer of the program's from here on: its signals come to nobody.
    set_timer(1_000);
    compute(Duration::from_millis(50));
    assert_refused("ITIMER_PROF");
    assert!(is_timer_running());
    set_timer(0);
    assert_eq!(profile(), (200, String::new()));

    set_action(own);
    assert_refused("handler for SIGPROF");
    assert_eq!(action(), own);
}
