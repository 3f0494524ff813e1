//! Tasks: futures that are tracked, so that `/debug/pprof/goroutine` says at which `.await` each of them waits, on any executor.
//!
//! ```
//! use debug_pprof::task;
//!
//! # async fn reply() {}
//! // What an executor is given, such as `tokio::spawn(…)`:
//! let future = task::track_named("request", async {
//!     reply().await;
//! });
//! # drop(future);
//! ```
//!
//! # How a task is asked where it waits
//!
//! A future has a stack while it is polled and at no other time. So when a profile is wanted each task is woken, and its
//! executor polls it, as futures have to put up with at any time. In that poll the future is handed a waker that it has not
//! seen before, which whatever it waits for has to clone to be woken by; the clone takes the stack: the chain of `.await`s,
//! ended by the function that called [`track`].
//!
//! ```text
//!  goroutine ─▶ round: wakes ─▶ executor ─▶ Tracked::poll ─▶ the future ─▶ what it waits for ─▶ waker.clone(): the stack
//! ```
//!
//! # What is not shown
//!
//! * A task that is being polled: a thread does that, and the thread is shown.
//! * Why its executor does not poll it: such a task is listed with where it was tracked and since when it was not polled.
//! * What is behind a combinator that has wakers of its own, such as `FuturesUnordered`: the stack ends there.
//! * More than one place of a task that waits for several (`select!`, `join!`, a timeout): all tasks that wait at the same
//!   places are shown at that which the first of them came to first.
//! * The inside of a tracked future in the stack of one that awaits it: the inner one is a task of its own.

mod known;
mod probe;
mod registry;
mod round;
mod snapshot;
mod stacks;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tower")]
mod tower;
mod tracked;
mod wake;

use std::borrow::Cow;

pub(crate) use self::snapshot::{Snapshot, State, TaskView};
#[cfg(feature = "tokio")]
pub use self::tokio::{spawn, spawn_named};
#[cfg(feature = "tower")]
pub use self::tower::{TowerLayer, TrackedService};
pub use self::tracked::Tracked;

use self::registry::Registry;
use self::round::Rounds;
use self::stacks::AwaitStacks;
use self::tracked::Registration;
use crate::fork_lock::ForkLock;
use crate::stack::OwnFrame;

/// Futures that are tracked at a time. More are counted and run as if they were not tracked; each that is takes 250 bytes.
pub const MAX_TASKS: usize = 1 << 20;

/// Bytes of a name; more are cut off.
const MAX_NAME: usize = 100;

/// What this room remembers.
static TASKS: Tasks = Tasks {
    registry: Registry::new(),
    stacks: AwaitStacks::new(),
    rounds: ForkLock::new(Rounds::new(), Rounds::new),
};

struct Tasks {
    registry: Registry,
    stacks: AwaitStacks,
    /// Who has it asks the tasks.
    rounds: ForkLock<Rounds>,
}

/// Makes a future whose state `/debug/pprof/goroutine` shows, as `task=unnamed`.
///
/// Cost: some 0.4 µs once and 4 ns a poll. While a profile of tasks is taken each is woken and polled once more, or
/// twice if it waits for several things: a future that does not expect to be polled without reason shows that then.
///
/// A tracked future keeps one clone of its executor's waker until it is done or dropped.
#[inline(never)]
pub fn track<F: Future>(future: F) -> Tracked<F> {
    let marker = 0_u8;
    Tracked::new(future, Registration::new(None, OwnFrame::of(&marker)))
}

/// [`track`] with the name that the profile's label `task` has; the first 100 bytes of it.
#[inline(never)]
pub fn track_named<F: Future>(name: impl Into<Cow<'static, str>>, future: F) -> Tracked<F> {
    let marker = 0_u8;
    Tracked::new(
        future,
        Registration::new(Some(name.into()), OwnFrame::of(&marker)),
    )
}

/// Number of tracked futures that are neither done nor dropped.
pub fn alive() -> usize {
    TASKS.registry.len()
}

/// Number of tracked futures that nobody seems to be left to wake. Those that are listed as such are asked first.
#[cfg(feature = "http")]
pub(crate) fn lost() -> usize {
    let all = TASKS.registry.all();
    all.iter().filter(|task| task.is_lost()).count()
}

/// Number of futures that were not tracked because there were [`MAX_TASKS`].
pub(crate) fn untracked() -> u64 {
    TASKS.registry.untracked()
}
