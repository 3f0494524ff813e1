//! Tasks that wait for replies which never come, and how long the endpoint takes to say where.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::{Request, respond};
use debug_pprof::task;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::verdict::verdict;
use super::{current_thread, smoke};

/// Milliseconds in which ten thousand are to be there.
const BAR_MS: f64 = 100.0;

/// How often all of them are asked anew.
const ROUNDS: usize = 5;

pub(crate) fn print() {
    println!(
        "\n`goroutine?debug=1`, names included, of tasks that have all moved since the last time:\n"
    );
    println!(
        "| stuck | runtime | first ms | slowest of {ROUNDS} | asked again at once | missing | bar | |"
    );
    println!("|--:|---|--:|--:|--:|--:|---|---|");
    let counts: &[usize] = match smoke::is_smoke() {
        true => &[100],
        false => &[10_000, 1_000_000],
    };
    for &count in counts {
        for is_multi in [true, false] {
            let runtime = match is_multi {
                true => Builder::new_multi_thread()
                    .worker_threads(2)
                    .build()
                    .expect("a runtime"),
                false => current_thread(),
            };
            print_row(count, is_multi, runtime);
        }
    }
}

fn print_row(count: usize, is_multi: bool, runtime: Runtime) {
    let (stop, stopped) = mpsc::channel::<()>();
    let handle = runtime.handle().clone();
    let asks = thread::spawn(move || {
        let _stop = stop;
        let mut times = Vec::new();
        let mut again = f64::MAX;
        let mut missing = 0;
        for _ in 0..ROUNDS {
            // New ones: those that have answered before are not woken again.
            let replies = spawn(&handle, count);
            let (took, text) = ask();
            missing = missing.max(count.saturating_sub(answered(&text)));
            times.push(took);
            again = again.min(ask().0);
            drop(replies);
            while task::alive() > 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        (times, again, missing)
    });
    drive(&runtime, is_multi, &stopped);
    let (times, again, missing) = asks.join().expect("it asks");
    let (first, slowest) = (times[0], times.iter().copied().fold(0.0, f64::max));
    let bar = match count {
        10_000 => format!(
            "≤ {BAR_MS}, 0 | {}",
            verdict(slowest <= BAR_MS && missing == 0)
        ),
        _ => "|".to_owned(),
    };
    let name = if is_multi {
        "multi-thread"
    } else {
        "current-thread"
    };
    println!("| {count} | {name} | {first:.0} | {slowest:.0} | {again:.0} | {missing} | {bar} |");
}

/// Until it is stopped.
fn drive(runtime: &Runtime, is_multi: bool, stopped: &Receiver<()>) {
    if is_multi {
        let _ = stopped.recv();
        return;
    }
    runtime.block_on(async {
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Milliseconds, and the answer.
fn ask() -> (f64, String) {
    let start = Instant::now();
    let answer = respond(&Request::get("/debug/pprof/goroutine?debug=1"));
    let took = start.elapsed().as_secs_f64() * 1e3;
    (took, String::from_utf8(answer.body).expect("text"))
}

/// How many are listed at what they wait for.
fn answered(text: &str) -> usize {
    let blocks = text.split("\n\n");
    let answered = blocks
        .filter(|block| block.contains("\"task\":\"bench\"") && block.contains("wait_for_reply"));
    let counts = answered.filter_map(|block| {
        let row = block.lines().find(|line| line.contains(" @ "))?;
        row.split(" @ ").next()?.parse::<usize>().ok()
    });
    counts.sum()
}

async fn wait_for_reply(reply: oneshot::Receiver<u32>) {
    let _ = reply.await;
}

/// Returns when each has been polled, and what keeps them waiting.
fn spawn(runtime: &tokio::runtime::Handle, count: usize) -> Vec<oneshot::Sender<u32>> {
    let (polled, all) = mpsc::channel();
    let spawn = |_| {
        let (reply, waits) = oneshot::channel();
        let polled = polled.clone();
        runtime.spawn(task::track_named("bench", async move {
            let _ = polled.send(());
            drop(polled);
            wait_for_reply(waits).await;
        }));
        reply
    };
    let replies = (0..count).map(spawn).collect();
    drop(polled);
    assert_eq!(all.iter().count(), count);
    replies
}
