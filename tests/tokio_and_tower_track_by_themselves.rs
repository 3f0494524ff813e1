//! `task::spawn` is tokio's with a tracked future, and `TowerLayer` tracks the future of each request: both name where the task
//! waits and what spawned it, and hand on what the future returns.
#![cfg(all(
    feature = "http",
    feature = "symbolize",
    feature = "tokio",
    feature = "tower",
    target_arch = "x86_64",
    target_env = "gnu"
))]

mod http_client;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use debug_pprof::http::Request;
use debug_pprof::task::{self, TowerLayer};
use http_client::respond;
use tokio::sync::oneshot;
use tower_layer::Layer;
use tower_service::Service;

struct Echo;

async fn echoes(reply: oneshot::Receiver<u32>) -> Result<u32, Infallible> {
    Ok(reply.await.unwrap_or(0))
}

impl Service<oneshot::Receiver<u32>> for Echo {
    type Response = u32;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: oneshot::Receiver<u32>) -> Self::Future {
        Box::pin(echoes(request))
    }
}

async fn waits(reply: oneshot::Receiver<u32>) -> u32 {
    reply.await.unwrap_or(0)
}

#[inline(never)]
fn spawns(
    one: oneshot::Receiver<u32>,
    other: oneshot::Receiver<u32>,
) -> [tokio::task::JoinHandle<u32>; 2] {
    [
        task::spawn(waits(one)),
        task::spawn_named("named", waits(other)),
    ]
}

#[test]
fn tokio_and_tower_track_by_themselves() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (senders, mut replies): (Vec<_>, Vec<_>) =
            (0..3).map(|_| oneshot::channel::<u32>()).unzip();
        let mut next = || replies.pop().expect("one");
        let [one, other] = spawns(next(), next());
        let mut service = TowerLayer::named("request").layer(Echo);
        let request = tokio::spawn(service.call(next()));
        let asked =
            std::thread::spawn(|| respond(&Request::get("/debug/pprof/goroutine?debug=1")).text());
        while !asked.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let text = asked.join().expect("an answer");
        for (name, first, last) in [
            ("unnamed", "::waits::{{closure}}+", "::spawns+"),
            ("named", "::waits::{{closure}}+", "::spawns+"),
            (
                "request",
                "::echoes::{{closure}}+",
                "tokio_and_tower_track_by_themselves",
            ),
        ] {
            let label = format!("{{\"task\":\"{name}\"}}");
            let block = text.split("\n\n").find(|block| block.contains(&label));
            let block = block.unwrap_or_else(|| panic!("{text}"));
            let rows: Vec<&str> = block
                .lines()
                .filter(|line| line.starts_with("#\t"))
                .collect();
            assert!(rows[0].contains(first), "{block}");
            assert!(rows.last().expect("it ends").contains(last), "{block}");
        }
        for (sender, value) in senders.into_iter().zip([7, 8, 9]) {
            sender.send(value).expect("it waits");
        }
        assert_eq!(one.await.expect("it ends"), 9);
        assert_eq!(other.await.expect("it ends"), 8);
        assert_eq!(request.await.expect("it ends"), Ok(7));
        assert_eq!(task::alive(), 0);
    });
}
