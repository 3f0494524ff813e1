//! A backend that loses requests: for each there is a task that waits for its reply, for ever. Seen in goroutine, all of them
//! at one line: that of the `.await` in [`wait_for_reply`].

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use debug_pprof::task;
use tokio::sync::oneshot;

struct Reply(#[expect(dead_code, reason = "none ever comes")] u64);

/// Requests that wait for a reply, by number.
#[derive(Default)]
struct Backend {
    pending: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
}

impl Backend {
    /// Remembers the request and forgets to send it.
    fn ask(&self, id: u64) -> oneshot::Receiver<Reply> {
        let (sender, reply) = oneshot::channel();
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.insert(id, sender);
        reply
    }
}

async fn wait_for_reply(reply: oneshot::Receiver<Reply>) -> Option<Reply> {
    reply.await.ok()
}

async fn handle_request(backend: Arc<Backend>, id: u64) {
    let reply = backend.ask(id);
    wait_for_reply(reply).await;
}

/// A task for each request.
fn accept_requests(backend: &Arc<Backend>, count: u64) {
    for id in 0..count {
        let request = handle_request(Arc::clone(backend), id);
        tokio::spawn(task::track_named("request", request));
    }
}

/// So many requests, all stuck when this returns.
pub(crate) fn start(count: u64) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let backend = Arc::new(Backend::default());
    {
        let _runtime = runtime.enter();
        accept_requests(&backend, count);
    }
    let is_pending = |count: u64| {
        let pending = backend.pending.lock();
        pending.is_ok_and(|pending| pending.len() as u64 == count)
    };
    while !is_pending(count) {
        thread::yield_now();
    }
    // It runs on, with the requests in it, until the program ends.
    std::mem::forget(runtime);
    std::mem::forget(backend);
    Ok(())
}
