//! `/leaks` of a service with one slow leak, a cache that grows and is full then, one that replaces what it has when it is
//! full, and churn as fast as the machine can: the leak is first, caches are not there once they are full, churn never is;
//! and the table says what a person needs.
//!
//! 300 times as fast as life: a period is 200 ms, the leak 1 MB a period. The default rate is kept, and so the number of
//! samples is life's: two of the leak's objects a period. A steady leak is missed in one of some thousand looks, so it is
//! looked for until it is found; a false alarm is as rare as 1 in a million for each stack.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod go_pprof;
mod http_client;
mod local_server;

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::WatchOptions;
use http_client::get;
use http_client::validator::{Kind, Profile, assert_valid};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

const PERIOD: Duration = Duration::from_millis(200);

/// Only a failure waits this long.
const WATCHDOG: Duration = Duration::from_secs(60);

const BLOCK: usize = 8 << 10;
/// Of each of the caches, and in how many periods it is full.
const CACHE_BYTES: usize = 64 << 20;
const PERIODS: u32 = 8;

type Blocks = Mutex<Vec<Vec<u8>>>;

static SESSIONS: Blocks = Mutex::new(Vec::new());
static CACHE: Blocks = Mutex::new(Vec::new());
static ANSWERS: Blocks = Mutex::new(Vec::new());
static STOP: AtomicBool = AtomicBool::new(false);

/// Ends the load, when a check fails too: the scope waits for it.
struct StopAtEnd;

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        STOP.store(true, Ordering::Relaxed);
    }
}

#[inline(never)]
fn keep_session() {
    let session = black_box(vec![1; BLOCK]);
    SESSIONS.lock().expect("no panic").push(session);
}

#[inline(never)]
fn remember_page() {
    let page = black_box(vec![2; BLOCK]);
    CACHE.lock().expect("no panic").push(page);
}

/// For the whole time; what is replaced has been there for as long as chance has it.
#[inline(never)]
fn replace_answer() {
    static RANDOM: Mutex<u64> = Mutex::new(7);
    let answer = black_box(vec![3; BLOCK]);
    let mut answers = ANSWERS.lock().expect("no panic");
    if answers.len() < CACHE_BYTES / BLOCK {
        return answers.push(answer);
    }
    let mut random = RANDOM.lock().expect("no panic");
    *random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
    let nth = (*random >> 33) as usize % answers.len();
    answers[nth] = answer;
}

#[inline(never)]
fn answer_request() {
    black_box(vec![0_u8; 256 << 10]);
}

/// Calls `work` for each block of `bytes`, evenly over each period, `periods` times, or until the test is over.
fn pace(bytes: usize, periods: u32, work: fn()) {
    const STEPS: u32 = 20;
    let (start, mut done) = (Instant::now(), 0);
    for step in 1..=periods.saturating_mul(STEPS) {
        while done < bytes / BLOCK * step as usize / STEPS as usize {
            work();
            done += 1;
        }
        if STOP.load(Ordering::Relaxed) {
            return;
        }
        let next = start + PERIOD * step / STEPS;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn leaks(addr: std::net::SocketAddr) -> Profile {
    let answer = get(addr, "/debug/pprof/leaks");
    assert_eq!(answer.status, 200);
    assert_valid(&answer.body, Kind::Leaks)
}

fn bytes(profile: &Profile, function: &str) -> i64 {
    profile.through(function, "leak_space")
}

#[test]
fn http_leaks_are_first_under_churn() {
    let options = WatchOptions {
        period: PERIOD,
        ..WatchOptions::DEFAULT
    };
    let (_server, addr) = local_server::start_with(|builder| builder.watch(options));
    let early = get(addr, "/debug/pprof/leaks?debug=1").text();
    assert!(
        early.starts_with("too early to tell: watched for"),
        "{early}"
    );
    let early = leaks(addr);
    assert!(early.proto.sample.is_empty());
    assert!(
        early
            .comments()
            .iter()
            .any(|line| line.contains("ask again in"))
    );

    thread::scope(|scope| {
        let _stop = StopAtEnd;
        let begun = Instant::now();
        scope.spawn(|| pace(1 << 20, u32::MAX, keep_session));
        let pace_of_cache = CACHE_BYTES / PERIODS as usize;
        scope.spawn(move || pace(pace_of_cache, u32::MAX, replace_answer));
        let cache = scope.spawn(move || pace(pace_of_cache, PERIODS, remember_page));
        scope.spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                answer_request();
            }
        });
        cache.join().expect("no panic");
        let full = Instant::now();
        let (mut found, mut looks) = (0, 0);
        // A busy machine fills it slowly. Its growth shows in windows up to twice as long as that took, and its end once it is
        // longer ago than what is young there and an eighth of the rest: 0.24 of the window. On an idle one that is 8 periods.
        let believed = (full - begun) / 2 + 4 * PERIOD;
        // As much as comes goes only in a last half that began when it was full.
        let believed_to_replace = (full - begun) + 4 * PERIOD;
        // Found ten times in a row with nothing else, of late too.
        while found < 10 || looks < 10 {
            assert!(
                full.elapsed() < WATCHDOG,
                "{}",
                get(addr, "/debug/pprof/leaks?debug=1").text()
            );
            thread::sleep(PERIOD / 2);
            // Before the question: the answer may take as long as many periods.
            let full_for = full.elapsed();
            let profile = leaks(addr);
            assert_eq!(bytes(&profile, "answer_request"), 0, "churn");
            let has_only = bytes(&profile, "keep_session") > 0 && profile.stacks().len() == 1;
            found = if has_only { found + 1 } else { 0 };
            if full_for > believed {
                let cache = bytes(&profile, "remember_page");
                assert_eq!(cache, 0, "full for {full_for:?} after {:?}", full - begun);
            }
            if full_for > believed_to_replace {
                let cache = bytes(&profile, "replace_answer");
                assert_eq!(cache, 0, "full for {full_for:?} after {:?}", full - begun);
                looks += 1;
            }
        }
        let profile = leaks(addr);
        // 1 MB in 200 ms: 18.9 GB an hour; a third is five standard errors of 35 samples, and what a busy machine adds.
        let hourly = profile.through("keep_session", "leak_space_per_hour") as f64 / 1e9;
        assert!((5.0..40.0).contains(&hourly), "{hourly} GB an hour");

        let table = get(addr, "/debug/pprof/leaks?debug=1").text();
        println!("{table}");
        for part in [
            "1 of ",
            "1. ",
            "keep_session",
            "an hour",
            "the oldest",
            "what to do next",
        ] {
            assert!(table.contains(part), "{part}: {table}");
        }
        let first = table.lines().find(|line| line.starts_with("1. "));
        assert!(
            first.is_some_and(|line| line.contains("keep_session")),
            "{table}"
        );

        let url = format!("http://{addr}/debug/pprof/leaks");
        let top = go_pprof::pprof(&["-top", "-nodefraction=0", &url]);
        assert!(top.contains("Type: leak_space"), "{top}");
        assert!(top.contains("keep_session"), "{top}");
    });
}
