//! More tasks than can be asked in the time there is: the answer comes in time, all are counted, what is missing is named, and
//! no more than a thousand are woken at a time. 30 000 here, a million with `DEBUG_PPROF_LONG=1`.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;
mod own_process;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use debug_pprof::task;
use http_client::respond;
use own_process::is_long;

/// Asking takes 2 s at most; the rest is for a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Tasks that were woken and not polled since, and the most there were.
static WOKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

static QUEUE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

struct Queued(usize);

impl Wake for Queued {
    fn wake(self: Arc<Self>) {
        let woken = WOKEN.fetch_add(1, Ordering::Relaxed) + 1;
        MOST.fetch_max(woken, Ordering::Relaxed);
        QUEUE.lock().unwrap().push(self.0);
    }
}

async fn stuck() {
    let mut kept = None::<Waker>;
    poll_fn(|cx: &mut Context<'_>| {
        kept = Some(cx.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn a_million_tasks_are_no_storm() {
    let count = if is_long() { 1_000_000 } else { 30_000 };
    let mut tasks: Vec<(Boxed, Waker)> = (0..count)
        .map(|nth| {
            let task: Boxed = Box::pin(task::track_named("stuck", stuck()));
            (task, Waker::from(Arc::new(Queued(nth))))
        })
        .collect();
    for (task, waker) in &mut tasks {
        assert!(
            task.as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    let get = || {
        let start = Instant::now();
        let text = respond(&Request::get("/debug/pprof/goroutine?debug=1")).text();
        println!(
            "{:?}\n{}",
            start.elapsed(),
            text.get(..400).unwrap_or(&text)
        );
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
        text
    };
    // Of an executor that polls nothing all are there, and named; only so many were woken.
    let text = get();
    let total = |text: &str| -> i64 {
        let stuck = text
            .split("\n\n")
            .filter(|block| block.contains("\"task\":\"stuck\""));
        let rows = stuck.filter_map(|block| block.lines().find(|line| line.contains(" @ ")));
        rows.map(|row| row.split(' ').next().unwrap().parse::<i64>().unwrap())
            .sum()
    };
    assert_eq!(total(&text), count as i64, "{text}");
    assert!(
        text.contains("its executor has not polled it since it was woken"),
        "{text}"
    );
    let not_asked = text.contains("there was no time to ask it");
    assert!(
        not_asked && text.contains("tasks could not be asked where they wait within 2 s"),
        "{text}"
    );
    let woken = QUEUE.lock().unwrap().len();
    println!("{woken} woken of an executor that does not poll");
    // A thousand each time that nobody answers, for 2 s.
    assert!(woken <= 15_000, "{woken}");

    // Of one that does, no more than a thousand wait at any time.
    WOKEN.store(0, Ordering::Relaxed);
    MOST.store(0, Ordering::Relaxed);
    QUEUE.lock().unwrap().clear();
    std::thread::scope(|scope| {
        let asks = scope.spawn(get);
        while !asks.is_finished() {
            let queue = std::mem::take(&mut *QUEUE.lock().unwrap());
            for nth in queue {
                WOKEN.fetch_sub(1, Ordering::Relaxed);
                let (task, waker) = &mut tasks[nth];
                let _ = task.as_mut().poll(&mut Context::from_waker(waker));
            }
            std::thread::yield_now();
        }
        let text = asks.join().expect("an answer");
        assert_eq!(total(&text), count as i64, "{text}");
        assert!(text.contains("::stuck::{{closure}}+"), "{text}");
    });
    let most = MOST.load(Ordering::Relaxed);
    println!("{most} at a time");
    assert!(most > 0 && most <= 1_000, "{most}");
}
