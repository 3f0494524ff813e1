//! What a tracked task costs: a poll, being tracked, and a question to ten thousand of them.
//!
//! ```text
//! cargo bench --bench tasks
//! ```
//!
//! A round times the same work as it is, once more as it is, and tracked; the second says what the machine's noise is worth. Of
//! each the fastest round counts.

#[path = "../driver/smoke.rs"]
mod smoke;
mod stuck;
#[path = "../driver/verdict.rs"]
mod verdict;

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use debug_pprof::task;
use tokio::runtime::{Builder, Runtime};
use verdict::verdict;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// Nanoseconds that a poll may cost more.
const POLL_BAR_NS: f64 = 25.0;

/// Its time, by whether what it polls is tracked and how often.
type Work = fn(bool, u64) -> f64;

const WORKS: [(&str, Work); 4] = [
    ("a poll that leaves the waker alone", untouched),
    ("a poll that keeps the waker it has", kept),
    ("`yield_now` on tokio: a wake and a poll", yielding),
    ("a message on tokio: a wake and a poll", passing),
];

fn main() {
    let (rounds, times) = if smoke::is_smoke() {
        (2, 1_000)
    } else {
        (60, 200_000)
    };
    println!("\n### A tracked task{}\n", smoke::note());
    println!("| | plain ns | again | tracked | added | bar | |");
    println!("|---|--:|--:|--:|--:|---|---|");
    for (name, work) in WORKS {
        let [plain, again, tracked] = fastest(work, rounds, times);
        let added = tracked - plain.min(again);
        println!(
            "| {name} | {plain:.1} | {again:.1} | {tracked:.1} | {added:.1} | ≤ {POLL_BAR_NS} | {} |",
            verdict(added <= POLL_BAR_NS)
        );
    }
    let [plain, again, tracked] = fastest(made, rounds, times);
    println!(
        "| made, boxed and dropped | {plain:.1} | {again:.1} | {tracked:.1} | {:.1} | | |",
        tracked - plain.min(again)
    );
    stuck::print();
}

fn fastest(work: Work, rounds: u32, times: u64) -> [f64; 3] {
    let mut fastest = [f64::MAX; 3];
    for _ in 0..rounds {
        for (of, is_tracked) in fastest.iter_mut().zip([false, false, true]) {
            *of = of.min(work(is_tracked, times));
        }
    }
    fastest
}

/// Nanoseconds for each of `times`.
fn per(times: u64, start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / times as f64
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Behind a pointer either way.
fn boxed(future: impl Future<Output = ()> + Send + 'static, is_tracked: bool) -> Boxed {
    match is_tracked {
        true => Box::pin(task::track_named("bench", future)),
        false => Box::pin(future),
    }
}

/// A waker that counts how often it is woken.
struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn polled(mut future: Boxed, times: u64) -> f64 {
    let waker = Waker::from(Arc::new(Count(AtomicU64::new(0))));
    let mut context = Context::from_waker(&waker);
    let start = Instant::now();
    for _ in 0..times {
        let _ = black_box(future.as_mut().poll(&mut context));
    }
    per(times, start)
}

fn untouched(is_tracked: bool, times: u64) -> f64 {
    let wait = poll_fn(|context: &mut Context<'_>| {
        black_box(context);
        Poll::Pending
    });
    polled(boxed(wait, is_tracked), times)
}

fn kept(is_tracked: bool, times: u64) -> f64 {
    let mut kept = Waker::noop().clone();
    let wait = poll_fn(move |context: &mut Context<'_>| {
        // Nothing, if it is the one it has.
        kept.clone_from(context.waker());
        Poll::Pending
    });
    polled(boxed(wait, is_tracked), times)
}

fn current_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

fn yielding(is_tracked: bool, times: u64) -> f64 {
    let yields = async move {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    };
    let (runtime, future) = (current_thread(), boxed(yields, is_tracked));
    let start = Instant::now();
    runtime.block_on(async { tokio::spawn(future).await.expect("it ends") });
    per(times, start)
}

/// Through a channel with one place: the receiver, which may be tracked, is woken for each.
fn passing(is_tracked: bool, times: u64) -> f64 {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
    let receives = async move { while receiver.recv().await.is_some() {} };
    let (runtime, receives) = (current_thread(), boxed(receives, is_tracked));
    let start = Instant::now();
    runtime.block_on(async move {
        let receives = tokio::spawn(receives);
        for message in 0..times {
            sender.send(message).await.expect("it is received");
        }
        drop(sender);
        receives.await.expect("it ends");
    });
    per(times, start)
}

fn made(is_tracked: bool, times: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        drop(black_box(boxed(std::future::ready(()), is_tracked)));
    }
    per(times, start)
}
