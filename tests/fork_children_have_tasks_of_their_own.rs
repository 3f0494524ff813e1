//! A process may fork while its other threads track futures, drop them and ask them where they wait: the child has none of its
//! parent's tasks, has room for as many of its own, is answered by those, and may drop what it has copies of.
//!
//! A parent that has as many tasks as there may be takes a million: with `DEBUG_PPROF_LONG=1`.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod fork_child;
mod http_client;
mod own_process;

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use debug_pprof::http::Request;
use debug_pprof::task;
use fork_child::{End, ask};
use http_client::respond;
use own_process::is_long;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// Ends a child that hangs; no child is measured by it.
const WATCHDOG_SECONDS: u32 = 120;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Wakes the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn goroutine() -> String {
    respond(&Request::get("/debug/pprof/goroutine?debug=1")).text()
}

/// Keeps the waker that it is handed, and never ends.
async fn wait_in_the_child() {
    let mut kept = None::<Waker>;
    poll_fn(|context: &mut Context<'_>| {
        kept = Some(context.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

/// What `asks` returns, while a thread polls a task that waits.
fn beside_a_task<T>(asks: impl FnOnce() -> T) -> T {
    let is_polled = AtomicBool::new(false);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let polls = scope.spawn(|| {
            let mut future: Boxed = Box::pin(task::track_named("child", wait_in_the_child()));
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            while !stop.load(Ordering::Relaxed) {
                let outcome = future.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(outcome.is_pending());
                is_polled.store(true, Ordering::Relaxed);
                thread::park();
            }
        });
        while !is_polled.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let asked = asks();
        stop.store(true, Ordering::Relaxed);
        polls.thread().unpark();
        asked
    })
}

/// Whether a child has what it should, and says what it has otherwise. Drops its copies of its parent's tasks on the way.
fn lives_on(parents: &mut Vec<Boxed>) -> bool {
    let inherited = task::alive();
    let (alive, text, alive_without) = beside_a_task(|| {
        let (alive, text) = (task::alive(), goroutine());
        parents.clear();
        (alive, text, task::alive())
    });
    // Where it was tracked is one frame. Not by name: a child that is forked while its parent reads names has none.
    let child = text
        .split("\n\n")
        .find(|block| block.contains("{\"task\":\"child\"}"));
    let is_answered = child.is_some_and(|block| block.matches("#\t0x").count() > 1);
    let has_parents = text.contains("\"task\":\"parent\"");
    let is_right = (inherited, alive, alive_without, task::alive()) == (0, 1, 1, 0)
        && is_answered
        && !has_parents;
    if !is_right {
        println!(
            "inherited {inherited}, then {alive}, {alive_without} without the parent's, {} at last\n{text}",
            task::alive()
        );
    }
    is_right
}

/// Tasks of the parent, which have been polled once.
fn parents(count: usize) -> Vec<Boxed> {
    let mut tasks: Vec<Boxed> = Vec::new();
    for _ in 0..count {
        let mut future: Boxed = Box::pin(task::track_named("parent", pending()));
        let outcome = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(outcome.is_pending());
        tasks.push(future);
    }
    tasks
}

#[test]
fn fork_children_have_tasks_of_their_own() {
    let forks = if is_long() { 200 } else { 8 };
    let mut tasks = parents(1_000);
    let stop = AtomicBool::new(false);
    let bad = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(parents(10));
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(goroutine().contains("\"task\":\"parent\""));
            }
        });
        let mut ends = (0..forks).map(|_| ask(WATCHDOG_SECONDS, || lives_on(&mut tasks)).end());
        let bad = ends.find(|end| *end != End::Yes);
        stop.store(true, Ordering::Relaxed);
        bad
    });
    assert_eq!(bad, None);
    assert_eq!(task::alive(), 1_000, "the parent has its own as before");
    if is_long() {
        tasks.extend(parents(task::MAX_TASKS));
        assert_eq!(task::alive(), task::MAX_TASKS);
        let end = ask(WATCHDOG_SECONDS, || lives_on(&mut tasks)).end();
        assert_eq!(end, End::Yes, "of a parent that has its fill");
    }
}
