//! What keeps watch over time: a thread that does something only when it is due.
//!
//! The room asks `profile` and `record` for counts, outside malloc, and knows no socket.
#![allow(dead_code, reason = "the tasks follow")]

mod fork_lock;
mod thread;

pub(crate) use self::thread::Hold as WatchHold;
use self::thread::{Task, Watcher};

/// All tasks of the watcher's thread, each with a number of its own: what it is woken by.
const TASKS: [Task; 0] = [];

/// One per process: there is one thread that watches.
static WATCHER: Watcher = Watcher::new(&TASKS);

/// Starts the thread unless it runs, and keeps it going until the hold is dropped.
pub(crate) fn hold() -> WatchHold {
    WATCHER.hold()
}
