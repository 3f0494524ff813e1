//! The accept thread: takes connections, gives each a thread, and ends them all when the server stops.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection::{Policy, converse, refuse, refuse_now};
use super::deadline::Deadline;
use super::listener::Listener;
use super::slots::{Permit, Slots};
use super::stream::Stream;
use crate::profile;

/// Address space of a thread's stack, in bytes: Rust's own default. Symbolizing recurses into type names.
pub(super) const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Connections beyond the limit that are told so on a thread of their own, which is how an answer arrives for sure;
/// the ones beyond that are told in passing.
const MAX_REFUSALS: usize = 8;

/// Pause after an `accept` that failed, which happens while the process has no descriptor left. Without it the loop
/// would spin; longer, it would take longer to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The same where clients were let go of to have their descriptors, which takes them a moment.
const LET_GO_PAUSE: Duration = Duration::from_millis(1);

/// Time for the answers that are on their way when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(1);
const STOP_POLL: Duration = Duration::from_millis(5);

/// A connection that has a thread.
struct Open {
    thread: JoinHandle<()>,
    /// The thread owns the socket and closes it by ending.
    stream: Weak<Stream>,
    /// Whether it is one of [`MAX_REFUSALS`].
    is_refusal: bool,
}

/// Accepts until `policy` says stop, then winds down. Joined, no thread of the server is left.
pub(super) fn run(listener: Listener, policy: &Arc<Policy>) {
    let connections = Slots::new(policy.max_connections);
    let refusals = Slots::new(MAX_REFUSALS);
    let mut open: Vec<Open> = Vec::new();
    while !policy.is_stopping() {
        let accepted = listener.accept();
        open.retain(|one| !one.thread.is_finished());
        match accepted {
            _ if policy.is_stopping() => break,
            Ok(stream) => {
                let stream = Arc::new(stream);
                let started = if let Some(permit) = connections.try_take() {
                    spawn(&stream, permit, policy, false)
                } else if let Some(permit) = refusals.try_take() {
                    spawn(&stream, permit, policy, true)
                } else {
                    Err(ErrorKind::WouldBlock.into())
                };
                match started {
                    Ok(one) => open.push(one),
                    Err(_) => refuse_now(&stream),
                }
            }
            Err(error) => match error.kind() {
                // The client was faster in going than we in accepting.
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                _ => thread::sleep(let_go(&open)),
            },
        }
    }
    drop(listener);
    wind_down(open);
}

/// What can be done for a process that has no descriptor left: whoever has been refused already keeps none. Where each
/// of them may take its second to leave, a queue of silent clients stands before everybody else for minutes. Returns how
/// long to wait.
fn let_go(open: &[Open]) -> Duration {
    let mut pause = ACCEPT_PAUSE;
    for one in open.iter().filter(|one| one.is_refusal) {
        if let Some(stream) = one.stream.upgrade() {
            // The refusal still goes out; what ends is the wait for the client's end.
            stream.shut(Shutdown::Read);
            pause = LET_GO_PAUSE;
        }
    }
    pause
}

fn spawn(
    stream: &Arc<Stream>,
    permit: Permit,
    policy: &Arc<Policy>,
    is_refusal: bool,
) -> io::Result<Open> {
    let (owned, policy) = (Arc::clone(stream), Arc::clone(policy));
    let serve = if is_refusal { refuse } else { converse };
    let thread = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            profile::on_own_thread(c"debug-pprof-con", || serve(&owned, &policy));
            // The place first: who sees the socket closed may connect again at once.
            drop(permit);
            drop(owned);
        })?;
    Ok(Open {
        thread,
        stream: Arc::downgrade(stream),
        is_refusal,
    })
}

/// Lets answers that are being written go out, and ends everything else at once.
fn wind_down(open: Vec<Open>) {
    shut(&open, Shutdown::Read);
    let grace = Deadline::after(STOP_GRACE);
    while grace.left().is_some() && open.iter().any(|one| !one.thread.is_finished()) {
        thread::sleep(STOP_POLL);
    }
    shut(&open, Shutdown::Both);
    for one in open {
        // A panic on it has been reported by the panic hook.
        let _ = one.thread.join();
    }
}

fn shut(open: &[Open], side: Shutdown) {
    for stream in open.iter().filter_map(|one| one.stream.upgrade()) {
        stream.shut(side);
    }
}
