//! 10 000 tasks that wait for replies that never come are all in `goroutine`, on both of tokio's executors and on another:
//! its first block counts them and names the line of their `.await`, ended by the function that spawned them.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;
mod own_process;

use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::task;
use http_client::answered;
use http_client::validator::{self, Expect, Kind};
use own_process::{OwnProcess, part};
use tokio::sync::{mpsc, oneshot};

const TEST: &str = "stuck_tasks_are_listed_at_their_await";

const STUCK: usize = 10_000;

/// The line of `wait_for_reply` below that never returns.
const AWAIT_LINE: u32 = line!() + 3;

async fn wait_for_reply(mut replies: mpsc::Receiver<u32>) -> Option<u32> {
    replies.recv().await
}

async fn handle_request(replies: mpsc::Receiver<u32>) {
    wait_for_reply(replies).await;
}

/// Waits for several things: an arm that ends, one that does not, and a limit.
async fn wait_for_either(mut replies: mpsc::Receiver<u32>, end: oneshot::Receiver<()>) {
    let reply = async {
        tokio::select! {
            _ = replies.recv() => {}
            _ = end => {}
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(3600), reply).await;
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What keeps the tasks waiting.
#[derive(Default)]
struct Senders {
    replies: Vec<mpsc::Sender<u32>>,
    ends: Vec<oneshot::Sender<()>>,
}

#[inline(never)]
fn spawn_all(spawn: &dyn Fn(Boxed)) -> Senders {
    let mut senders = Senders::default();
    for nth in 0..STUCK {
        let (sender, replies) = mpsc::channel(1);
        senders.replies.push(sender);
        let request = task::track_named("request", handle_request(replies));
        spawn(Box::pin(request));
        if nth % 100 == 0 {
            let (sender, replies) = mpsc::channel(1);
            let (end, ended) = oneshot::channel();
            senders.replies.push(sender);
            senders.ends.push(end);
            spawn(Box::pin(task::track_named(
                "either",
                wait_for_either(replies, ended),
            )));
        }
    }
    senders
}

/// Asks, from a thread of its own, as a server does.
fn check(senders: Senders) {
    // The executor has to have polled each once.
    let start = Instant::now();
    while answered("/debug/pprof/goroutine?debug=1")
        .text()
        .contains("never polled")
    {
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(task::alive(), STUCK + STUCK / 100);
    for round in 0..3 {
        let start = Instant::now();
        let text = answered("/debug/pprof/goroutine?debug=1").text();
        println!("round {round}: {:?}", start.elapsed());
        let mut lines = text.lines();
        let total: usize = lines
            .next()
            .and_then(|line| line.strip_prefix("goroutine profile: total ")?.parse().ok())
            .expect("Go's head");
        assert!(total > STUCK + STUCK / 100, "{total}");
        let first = text.split("\n\n").next().expect("a block");
        println!("{first}");
        assert!(first.contains(&format!("\n{STUCK} @ 0x")), "{first}");
        assert!(first.contains("{\"task\":\"request\"}"), "{first}");
        let line = format!("{}:{AWAIT_LINE}", file!());
        assert!(first.contains(&line), "{line} is not in {first}");
        let names: Vec<&str> = first
            .lines()
            .filter_map(|line| line.strip_prefix("#\t0x")?.split('\t').nth(1))
            .map(|name| name.split_once('+').map_or(name, |(name, _)| name))
            .collect();
        let [first_name, .., last_name] = names.as_slice() else {
            panic!("{first}");
        };
        // The program's own line comes first, and who tracked it last.
        assert!(
            first_name.ends_with("::wait_for_reply::{{closure}}"),
            "{first}"
        );
        assert!(
            names[1].ends_with("::handle_request::{{closure}}"),
            "{first}"
        );
        assert!(last_name.ends_with("::spawn_all"), "{first}");
        assert_eq!(names.len(), 3, "{first}");
        // Nobody is missing, and those that wait for several things count once each, and all alike.
        assert!(!text.contains("missing"), "{text}");
        let either = text
            .split("\n\n")
            .filter(|block| block.contains("\"either\""));
        let either: Vec<&str> = either.collect();
        assert_eq!(either.len(), 1, "{either:#?}");
        assert!(
            either[0].starts_with(&format!("{} @ ", STUCK / 100)),
            "{either:#?}"
        );
    }
    let answer = answered("/debug/pprof/goroutine");
    let profile = validator::assert_valid(&answer.body, Expect::new(Kind::Goroutine).period(1));
    let through = profile.through("::wait_for_reply::{{closure}}", "goroutine");
    assert_eq!(through, STUCK as i64);

    let text = answered("/debug/pprof/goroutine?debug=2").text();
    let blocks = text
        .split("\n\n")
        .filter(|block| block.starts_with("task ") && block.contains("\"request\" [waiting]:\n"));
    assert!(blocks.count() > STUCK * 9 / 10);
    drop(senders);
}

fn on_a_thread(senders: Senders) -> thread::JoinHandle<()> {
    thread::spawn(move || check(senders))
}

async fn until_checked(senders: Senders) {
    let checked = on_a_thread(senders);
    while !checked.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    checked.join().expect("the checks pass");
}

fn on_tokio(mut builder: tokio::runtime::Builder) {
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let senders = spawn_all(&|future| {
            tokio::spawn(future);
        });
        until_checked(senders).await;
    });
}

fn on_another() {
    let executor = async_executor::Executor::new();
    let senders = spawn_all(&|future| executor.spawn(future).detach());
    // The limit is tokio's, and wants its clock.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let checked = on_a_thread(senders);
    runtime.block_on(executor.run(async {
        while !checked.is_finished() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }));
    checked.join().expect("the checks pass");
}

#[test]
fn stuck_tasks_are_listed_at_their_await() {
    match part().as_deref() {
        Some("multi-thread") => on_tokio(tokio::runtime::Builder::new_multi_thread()),
        Some("current-thread") => on_tokio(tokio::runtime::Builder::new_current_thread()),
        Some("another") => on_another(),
        _ => thread::scope(|scope| {
            for part in ["multi-thread", "current-thread", "another"] {
                scope.spawn(move || {
                    let limit = Duration::from_secs(120);
                    let said = OwnProcess::of(TEST, part).limit(limit).ends_well();
                    println!("{part}:\n{said}");
                });
            }
        }),
    }
}
