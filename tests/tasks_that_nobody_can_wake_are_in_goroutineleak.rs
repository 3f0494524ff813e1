//! `goroutineleak` has the tracked tasks of whose waker no clone is left, and only those, where they wait; with `min_age` also
//! those that have not been polled for as long, and asking does not make them younger. A task that is woken all the time, one
//! that waits for what may come, and one that is woken and not polled yet are in neither.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use debug_pprof::task;
use http_client::validator::{self, Expect, Kind};
use http_client::{answered, respond};
use tokio::sync::oneshot;

/// Generous: nothing is measured by it.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Who asks registers its waker, and it is dropped without a word.
async fn forgets_its_waker() {
    poll_fn(|cx: &mut Context<'_>| {
        drop(cx.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

/// Registers nothing.
async fn waits_for_nothing() {
    std::future::pending::<()>().await;
}

/// Keeps its waker as long as it is asked to.
async fn waits_for_a_registry(registry: Arc<Mutex<Vec<Waker>>>) {
    poll_fn(|cx: &mut Context<'_>| {
        let mut wakers = registry.lock().unwrap();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::<()>::Pending
    })
    .await;
}

async fn waits_for_a_reply(reply: oneshot::Receiver<()>) {
    let _ = reply.await;
}

async fn is_busy() {
    loop {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The blocks of `debug=1` by the name of their task: how many, its labels and all.
fn block<'t>(text: &'t str, name: &str) -> Option<(i64, &'t str)> {
    let label = format!("\"task\":\"{name}\"");
    let mut blocks = text.split("\n\n").filter(|block| block.contains(&label));
    let found = blocks.next()?;
    assert!(blocks.next().is_none(), "{text}");
    let row = found
        .lines()
        .find(|line| line.contains(" @ "))
        .expect("a count");
    Some((row.split(' ').next()?.parse().expect("a number"), found))
}

/// A waker of an executor that never polls again.
struct Nobody(AtomicBool);

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn tasks_that_nobody_can_wake_are_in_goroutineleak() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let registry = Arc::new(Mutex::new(Vec::new()));
    let mut senders = Vec::new();
    let _entered = runtime.enter();
    for _ in 0..3 {
        tokio::spawn(task::track_named("forgotten", forgets_its_waker()));
        tokio::spawn(task::track_named("nothing", waits_for_nothing()));
        let waits = waits_for_a_registry(Arc::clone(&registry));
        tokio::spawn(task::track_named("registered", waits));
        tokio::spawn(task::track_named("busy", is_busy()));
        let (sender, reply) = oneshot::channel();
        senders.push(sender);
        tokio::spawn(task::track_named("healthy", waits_for_a_reply(reply)));
    }
    // Who has waited for long when it is asked for the first time is old, though it is polled to answer.
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    let (sender, mut reply) = oneshot::channel::<()>();
    senders.push(sender);
    let waited = poll_fn(move |cx: &mut Context<'_>| {
        POLLS.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut reply).poll(cx).map(drop)
    });
    tokio::spawn(task::track_named("waited", waited));
    while POLLS.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(1100));
    let text = answered("/debug/pprof/goroutineleak?debug=1&min_age=1s").text();
    assert!(POLLS.load(Ordering::Relaxed) > 1, "it was not asked");
    assert!(block(&text, "waited").is_some(), "{text}");
    assert!(block(&text, "busy").is_none(), "{text}");

    let start = Instant::now();
    while answered("/debug/pprof/goroutine?debug=1")
        .text()
        .contains("never polled")
    {
        assert!(start.elapsed() < WATCHDOG);
    }

    let text = answered("/debug/pprof/goroutineleak?debug=1").text();
    println!("{text}");
    assert!(
        text.starts_with("goroutineleak profile: total 6\n"),
        "{text}"
    );
    let (count, forgotten) = block(&text, "forgotten").expect("it is listed");
    assert!(
        count == 3 && forgotten.contains("\"leak\":\"no waker left\""),
        "{text}"
    );
    assert!(
        forgotten.contains("::forgets_its_waker::{{closure}}+"),
        "{text}"
    );
    let (count, nothing) = block(&text, "nothing").expect("it is listed");
    assert!(
        count == 3 && nothing.contains("its last poll has cloned no waker"),
        "{text}"
    );

    // What kept the wakers forgets them.
    let wakers = std::mem::take(&mut *registry.lock().unwrap());
    assert!(wakers.len() >= 3);
    drop(wakers);
    let text = answered("/debug/pprof/goroutineleak?debug=1").text();
    assert!(
        text.starts_with("goroutineleak profile: total 9\n"),
        "{text}"
    );
    let (count, registered) = block(&text, "registered").expect("it is listed");
    assert!(
        count == 3 && registered.contains("::waits_for_a_registry::{{closure}}+"),
        "{text}"
    );

    let index = answered("/debug/pprof/").text();
    let row = "<td>9</td><td><a href='goroutineleak?debug=1'>";
    assert!(index.contains(row), "{index}");
    let answer = answered("/debug/pprof/goroutineleak");
    let expect = Expect::new(Kind::GoroutineLeak).period(1);
    let profile = validator::assert_valid(&answer.body, expect);
    assert_eq!(profile.total("goroutineleak"), 9);
    let text = answered("/debug/pprof/goroutineleak?debug=2").text();
    println!("{text}");
    assert_eq!(text.matches("[waiting, no waker left]:\n").count(), 9);
    let delta = answered("/debug/pprof/goroutineleak?seconds=1");
    assert_eq!(
        validator::assert_valid(&delta.body, expect.delta()).total("goroutineleak"),
        0
    );

    // Asked all the time they grow older all the same.
    let start = Instant::now();
    let old = loop {
        let text = answered("/debug/pprof/goroutineleak?debug=1&min_age=1500ms").text();
        if block(&text, "healthy").is_some() {
            break text;
        }
        assert!(start.elapsed() < WATCHDOG, "{text}");
        thread::sleep(Duration::from_millis(50));
    };
    println!("{old}");
    let (count, healthy) = block(&old, "healthy").expect("it is listed");
    assert!(
        count <= 3 && healthy.contains("\"leak\":\"not polled for min_age\""),
        "{old}"
    );
    assert!(block(&old, "busy").is_none(), "{old}");

    // A task that is woken is not lost, though its waker is used up: its executor may poll it at any time.
    let mut woken: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task::track_named(
        "woken",
        waits_for_a_registry(Arc::clone(&registry)),
    ));
    registry.lock().unwrap().clear();
    let nobody = Arc::new(Nobody(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&nobody));
    let mut poll = || {
        let outcome = woken.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(outcome.is_pending());
    };
    poll();
    // It answers where it waits, and then what it waits for comes.
    thread::scope(|scope| {
        let asks = scope.spawn(|| answered("/debug/pprof/goroutineleak?debug=1").text());
        while !nobody.0.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        poll();
        let text = asks.join().expect("an answer");
        assert!(block(&text, "woken").is_none(), "{text}");
    });
    let wakers = std::mem::take(&mut *registry.lock().unwrap());
    wakers.into_iter().for_each(Waker::wake);
    let text = answered("/debug/pprof/goroutineleak?debug=1").text();
    assert!(block(&text, "woken").is_none(), "{text}");

    let refused = respond(&Request::get("/debug/pprof/goroutineleak?min_age=abc"));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("min_age"), "{}", refused.text());
}
