//! Tasks that nobody polls, whose executor's wakers panic, that end while they are asked, that are being polled, or that
//! have clones of their wakers used on other threads and after their end: an answer in time, each named with the reason, and
//! the others, and the service, untouched.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;
mod own_process;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use debug_pprof::task::{self, Tracked};
use http_client::respond;
use own_process::{OwnProcess, part};
use tokio::sync::{Notify, oneshot};

const TEST: &str = "tasks_that_cannot_answer_are_named";

/// Generous: the limits are 0.2 s without an answer and 2 s in all.
const LIMIT: Duration = Duration::from_secs(20);

const WATCHDOG: Duration = Duration::from_secs(60);

fn goroutines(debug: u32) -> String {
    let start = Instant::now();
    let answer = respond(&Request::get(format!(
        "/debug/pprof/goroutine?debug={debug}"
    )));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    answer.text()
}

/// The block of a task in `debug=1`.
fn block<'t>(text: &'t str, name: &str) -> &'t str {
    let label = format!("\"task\":\"{name}\"");
    let mut blocks = text.split("\n\n");
    let found = blocks.find(|block| block.contains(&label));
    found.unwrap_or_else(|| panic!("no {name} in {text}"))
}

async fn waits(reply: oneshot::Receiver<()>) {
    let _ = reply.await;
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(future: Tracked<impl Future<Output = ()> + Send + 'static>) -> Boxed {
    Box::pin(future)
}

fn poll_once(future: &mut Boxed, waker: &Waker) {
    let outcome = future.as_mut().poll(&mut Context::from_waker(waker));
    assert!(outcome.is_pending());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose: a waker that panics");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("on purpose: a waker that panics when it is dropped");
        }
    }
}

/// One task of each kind that does not answer among some that do.
fn named() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut senders = Vec::new();
    let mut reply = || {
        let (sender, reply) = oneshot::channel();
        senders.push(sender);
        reply
    };
    for _ in 0..100 {
        runtime.spawn(task::track_named("healthy", waits(reply())));
    }
    let mut deserted = boxed(task::track_named("deserted", waits(reply())));
    poll_once(&mut deserted, Waker::noop());
    let _never = boxed(task::track_named("never", waits(reply())));
    let mut panics = boxed(task::track_named("panics", waits(reply())));
    let waker = Waker::from(Arc::new(Panics));
    poll_once(&mut panics, &waker);
    let is_polled = Arc::new(AtomicBool::new(false));
    let (signal, end) = (Arc::clone(&is_polled), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&end);
    let busy = async move {
        signal.store(true, Ordering::Release);
        while !ends.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    };
    let mut busy = boxed(task::track_named("busy", busy));
    let polls = thread::spawn(move || {
        let outcome = busy.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(outcome.is_ready());
    });
    while !is_polled.load(Ordering::Acquire) {
        thread::yield_now();
    }

    // Twice: the second time nothing is left over of the first.
    for _ in 0..2 {
        let text = goroutines(1);
        println!("{text}");
        for (name, reason) in [
            (
                "deserted",
                "its executor has not polled it since it was woken to answer",
            ),
            ("never", "it was never polled"),
            ("panics", "its executor's waker panicked"),
            ("busy", "it is being polled: see the threads"),
        ] {
            let block = block(&text, name);
            assert!(
                block.contains(&format!("\"missing\":\"{reason}\"")),
                "{block}"
            );
            assert!(block.starts_with("1 @ "), "{block}");
            // Where it was tracked is known all the same.
            assert!(block.contains("::named+"), "{block}");
        }
        let healthy = block(&text, "healthy");
        assert!(
            healthy.contains("100 @ ") && !healthy.contains("missing"),
            "{healthy}"
        );
        assert!(healthy.contains("::waits::{{closure}}+"), "{healthy}");
    }
    let text = goroutines(2);
    assert!(text.contains("\"busy\" [running]:\n"), "{text}");
    assert!(text.contains("\"never\" [not polled yet]:\n"), "{text}");

    // What the busy one has is a thread, which is there.
    end.store(true, Ordering::Release);
    polls.join().expect("it ends");
    // The last of its waker is dropped with the task, and panics here, where it belongs.
    drop(waker);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(panics)));
    println!("dropped: {}", dropped.is_ok());
    let text = goroutines(1);
    assert!(!text.contains("\"panics\""), "{text}");
}

/// Tasks end, are born and are woken while they are asked.
fn come_and_go() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let stop = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&stop);
    let churn = runtime.spawn(async move {
        let mut spawned = 0_usize;
        while !stops.load(Ordering::Relaxed) {
            let notify = Arc::new(Notify::new());
            for nth in 0..200 {
                let notified = Arc::clone(&notify);
                let inner = async move {
                    // One task in another, and several things waited for.
                    let inner =
                        task::track_named("inner", async move { notified.notified().await });
                    let _ = tokio::time::timeout(Duration::from_secs(60), inner).await;
                    DONE.fetch_add(1, Ordering::Relaxed);
                };
                let task = tokio::spawn(task::track_named("outer", inner));
                spawned += 1;
                if nth % 4 == 0 {
                    task.abort();
                    let _ = task.await;
                    spawned -= 1;
                }
            }
            // Long enough to be asked, and not always to answer.
            tokio::time::sleep(Duration::from_millis(20)).await;
            notify.notify_waiters();
            // Those that were not waiting yet.
            while DONE.load(Ordering::Relaxed) < spawned {
                notify.notify_waiters();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        spawned
    });
    let start = Instant::now();
    let mut seen = 0;
    for _ in 0..20 {
        seen += goroutines(1).matches("\"task\":").count();
    }
    stop.store(true, Ordering::Relaxed);
    let spawned = runtime.block_on(churn).expect("it ends");
    println!("{seen} entries, {spawned} tasks, {:?}", start.elapsed());
    assert_eq!(DONE.load(Ordering::Relaxed), spawned);
    assert!(seen > 5, "{seen}");
    while task::alive() > 0 {
        assert!(start.elapsed() < WATCHDOG, "{}", task::alive());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Clones of wakers on other threads, in a poll that asks and not, and after the task.
fn strange_clones() {
    let kept = Arc::new(Mutex::new(Vec::<Waker>::new()));
    let keeps = Arc::clone(&kept);
    let clones_elsewhere = poll_fn(move |cx: &mut Context<'_>| {
        let waker = cx.waker();
        let cloned = thread::scope(|scope| scope.spawn(|| waker.clone()).join());
        keeps.lock().unwrap().push(cloned.expect("a clone"));
        Poll::<()>::Pending
    });
    let polls = Arc::new(AtomicUsize::new(0));
    struct Counts(Arc<AtomicUsize>);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let wakes = Arc::new(AtomicUsize::new(0));
    let mut task = Box::pin(task::track_named("elsewhere", clones_elsewhere));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // An executor that polls all the time, with another waker each time.
        let (wakes, polls, stop, task) = (&wakes, &polls, &stop, &mut task);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let waker = Waker::from(Arc::new(Counts(Arc::clone(wakes))));
                let _ = task.as_mut().poll(&mut Context::from_waker(&waker));
                polls.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..5 {
            let text = goroutines(1);
            println!("{}", block(&text, "elsewhere"));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(polls.load(Ordering::Relaxed) > 0);
    drop(task);
    let before = wakes.load(Ordering::Relaxed);
    let wakers: Vec<Waker> = kept.lock().unwrap().clone();
    let count = wakers.len();
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!(
        wakes.load(Ordering::Relaxed) - before,
        count,
        "each wakes what it was made for"
    );
    assert_eq!(task::alive(), 0);
}

/// A future that panics in a poll that asks ends as one that panics in another.
fn panics_while_asked() {
    let is_time = Arc::new(AtomicBool::new(false));
    let time = Arc::clone(&is_time);
    let panics = poll_fn(move |cx: &mut Context<'_>| {
        let _waker = cx.waker().clone();
        if time.load(Ordering::Acquire) {
            panic!("on purpose: a future that panics");
        }
        Poll::<()>::Pending
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let task = runtime.spawn(task::track_named("panics", panics));
    let (sender, asked) = oneshot::channel();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        is_time.store(true, Ordering::Release);
        let text = goroutines(1);
        let _ = sender.send(());
        text
    });
    runtime.block_on(async {
        let mut asked = pin!(asked);
        let _ = (&mut asked).await;
    });
    println!("{}", other.join().expect("an answer"));
    let error = runtime.block_on(task).expect_err("it panicked");
    assert!(error.is_panic());
    assert_eq!(task::alive(), 0);
    goroutines(1);
}

/// A waker may poll its task at once, on the thread that asks, and the task end in that poll.
fn polled_at_once() {
    struct AtOnce(Mutex<Option<Boxed>>);
    impl Wake for AtOnce {
        fn wake(self: Arc<Self>) {
            let Some(mut task) = self.0.lock().unwrap().take() else {
                return;
            };
            let waker = Waker::from(Arc::clone(&self));
            let outcome = task.as_mut().poll(&mut Context::from_waker(&waker));
            if outcome.is_pending() {
                *self.0.lock().unwrap() = Some(task);
            }
        }
    }
    let is_time = Arc::new(AtomicBool::new(false));
    for name in ["stays", "ends"] {
        let ends = Arc::clone(&is_time);
        let future = poll_fn(move |cx: &mut Context<'_>| {
            drop(cx.waker().clone());
            match name == "ends" && ends.load(Ordering::Relaxed) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        let at_once = Arc::new(AtOnce(Mutex::new(None)));
        *at_once.0.lock().unwrap() = Some(boxed(task::track_named(name, future)));
        Waker::from(at_once).wake();
    }
    is_time.store(true, Ordering::Relaxed);
    let text = goroutines(1);
    println!("{text}");
    assert!(block(&text, "stays").contains("::polled_at_once::{{closure}}+"));
    assert!(!text.contains("\"ends\""), "{text}");
    assert_eq!(task::alive(), 1);
}

const PARTS: [(&str, fn()); 5] = [
    ("named", named),
    ("come and go", come_and_go),
    ("strange clones", strange_clones),
    ("panics while asked", panics_while_asked),
    ("polled at once", polled_at_once),
];

#[test]
fn tasks_that_cannot_answer_are_named() {
    if let Some(part) = part() {
        let run = PARTS.iter().find(|(name, _)| *name == part);
        return run.expect("a part").1();
    }
    thread::scope(|scope| {
        for (part, _) in PARTS {
            scope.spawn(move || {
                let said = OwnProcess::of(TEST, part).limit(2 * WATCHDOG).ends_well();
                println!("{part}:\n{said}");
            });
        }
    });
}
