//! `Server`: a running server, and its end.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use super::accept;
use super::builder::ServerBuilder;
use super::connection::Policy;
use super::listener::{Listener, Waker};
use crate::error::Error;
use crate::profile;
use crate::watch::{self, WatchHold};

/// The endpoint on a socket, on threads of its own. Dropping it shuts it down.
///
/// Cost: one thread that waits for connections, one for all servers of the process that keeps watch, and
/// one more per connection while there is one. None of them is sampled.
///
/// A child of `fork` has no server, because it has no thread but the one that forked; it can start one of its own, at
/// another address. So start the server after daemonizing. Dropping the parent's `Server` in a child does nothing. But the
/// child has the listening socket: if the parent ends without having shut its server down, the address stays in use, and
/// connections wait there, until the child ends or calls `exec`. `std::process::Command` leaves nothing behind.
///
/// ```
/// use debug_pprof::http::Server;
///
/// let server = Server::builder().addr("127.0.0.1:0").start()?;
/// println!("go tool pprof http://{}/debug/pprof/heap", server.local_addr().expect("TCP"));
/// server.shutdown();
/// # Ok::<(), debug_pprof::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    local_addr: Option<SocketAddr>,
    policy: Arc<Policy>,
    waker: Waker,
    /// The process that has its threads.
    process: u64,
    /// `None` once it was joined, or let go.
    accept_thread: Option<JoinHandle<()>>,
    /// Keeps the watcher's thread going. The last to be dropped.
    watch: Option<WatchHold>,
}

impl Server {
    /// A server with every setting at its default: on [`DEFAULT_ADDR`](super::DEFAULT_ADDR), and with a token if
    /// `DEBUG_PPROF_TOKEN_FILE` is set.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(super) fn start(listener: Listener, policy: Policy) -> Result<Server, Error> {
        profile::refresh_unwind_tables();
        watch::start_from_environment();
        let policy = Arc::new(policy);
        let local_addr = listener.local_addr();
        let waker = listener.waker().map_err(Error::Thread)?;
        let shared = Arc::clone(&policy);
        let accept_thread = thread::Builder::new()
            .stack_size(accept::STACK_BYTES)
            .spawn(move || {
                profile::on_own_thread(c"debug-pprof-acc", || accept::run(listener, &shared))
            })
            .map_err(Error::Thread)?;
        Ok(Server {
            local_addr,
            policy,
            waker,
            process: profile::process(),
            accept_thread: Some(accept_thread),
            watch: Some(watch::hold()),
        })
    }

    /// The bound address, with the real port if port 0 was asked for; `None` on a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Stops accepting, ends waiting deltas and idle connections, gives answers that are being written a second,
    /// and returns when all threads of the server have ended. A profile that is being built is waited for.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Lets the server run until the process ends.
    pub fn detach(mut self) {
        drop(self.take_accept_thread());
        mem::forget(self.watch.take());
    }

    /// The accept thread, if this process has it. A fork child has not, and may not even let go of its handle.
    fn take_accept_thread(&mut self) -> Option<JoinHandle<()>> {
        let thread = self.accept_thread.take();
        if self.process == profile::process() {
            return thread;
        }
        mem::forget(thread);
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In a fork child there is no thread to end, and the socket is the parent's too.
        let Some(thread) = self.take_accept_thread() else {
            return;
        };
        self.policy.stopping.store(true, Ordering::Relaxed);
        // Without a wake-up the thread ends at the next connection; waiting for that could take for ever.
        if self.waker.wake() {
            // A panic on it has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}
