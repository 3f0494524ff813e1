//! Tasks of tokio that nobody tracks are in `goroutine` without a change to the program: as many as the samples of the heap say, by
//! the line that spawned them; and those that are tracked are not among them.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;

use std::time::Duration;

use debug_pprof::http::Request;
use debug_pprof::task;
use http_client::respond;
use http_client::validator::{self, Expect, Kind};
use tokio::sync::mpsc;

/// Each is sampled at rate 1, and the estimate exact.
#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

const UNTRACKED: i64 = 300;
const TRACKED: i64 = 200;

async fn waits(mut replies: mpsc::Receiver<u32>) {
    replies.recv().await;
}

#[inline(never)]
fn spawn_untracked(replies: mpsc::Receiver<u32>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(waits(replies))
}

#[inline(never)]
fn spawn_local_untracked(replies: mpsc::Receiver<u32>) {
    tokio::task::spawn_local(waits(replies));
}

#[inline(never)]
fn spawn_tracked(replies: mpsc::Receiver<u32>) {
    tokio::spawn(task::track_named("tracked", waits(replies)));
}

async fn check(is_alive: bool) {
    let asked = std::thread::spawn(move || {
        let text = respond(&Request::get("/debug/pprof/goroutine?debug=1")).text();
        let mut estimates = text
            .split("\n\n")
            .filter(|block| block.contains("\"source\":\"heap-estimate\""));
        if !is_alive {
            assert_eq!(estimates.next(), None, "{text}");
            return;
        }
        let estimates: Vec<&str> = estimates.collect();
        println!("{estimates:#?}");
        assert_eq!(estimates.len(), 2, "{estimates:#?}");
        for (block, count, name) in [
            (estimates[0], UNTRACKED, "::spawn_untracked+"),
            (estimates[1], UNTRACKED / 10, "::spawn_local_untracked+"),
        ] {
            let head = format!("\n{count} @ 0x");
            assert!(format!("\n{block}").contains(&head), "{block}");
            let mut frames = block.lines().filter(|line| line.starts_with("#\t0x"));
            let first = frames.next().expect("a frame");
            assert!(first.contains(name), "{block}");
            assert!(block.contains("::waits::{async_fn_env#0}\""), "{block}");
        }
        assert!(text.contains("# source=heap-estimate: "), "{text}");
        let body = respond(&Request::get("/debug/pprof/goroutine")).body;
        let profile = validator::assert_valid(&body, Expect::new(Kind::Goroutine).period(1));
        assert_eq!(profile.through("::spawn_tracked", "goroutine"), TRACKED);
        assert_eq!(profile.through("::spawn_untracked", "goroutine"), UNTRACKED);
    });
    while !asked.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asked.join().expect("the checks pass");
}

#[test]
fn untracked_tasks_are_estimated_from_the_heap() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut senders = Vec::new();
        let mut reply = || {
            let (sender, replies) = mpsc::channel(1);
            senders.push(sender);
            replies
        };
        let untracked: Vec<_> = (0..UNTRACKED).map(|_| spawn_untracked(reply())).collect();
        for _ in 0..TRACKED {
            spawn_tracked(reply());
        }
        // What runs on a thread is shown as one.
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let blocking = tokio::task::spawn_blocking(move || ended.recv());
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                (0..UNTRACKED / 10).for_each(|_| spawn_local_untracked(reply()));
                check(true).await;
            })
            .await;
        drop(local);
        drop(senders);
        drop(done);
        for task in untracked {
            task.await.expect("it ends");
        }
        let _ = blocking.await;
        check(false).await;
    });
}
