//! What keeps watch over time: a thread that does something only when it is due.
//!
//! The room asks `profile` and `record` for counts, outside malloc, and knows no socket.
#![allow(dead_code, reason = "the tasks follow")]

mod black_box;
mod fork_lock;
mod thread;

pub use self::black_box::{
    BlackBox, BlackBoxBuilder, DEFAULT_DUMP_BYTES, DEFAULT_DUMPS_KEPT, DEFAULT_PRESSURE,
    DEFAULT_SHARE_OF_LIMIT,
};
#[cfg(feature = "http")]
pub(crate) use self::black_box::{NoPrevious, previous_heap, start_from_environment};
pub(crate) use self::thread::Hold as WatchHold;
use self::thread::{Task, Watcher};

/// All tasks of the watcher's thread, each with a number of its own: what it is woken by.
const TASKS: [Task; 1] = [Task {
    run: black_box::run,
}];
const BLACK_BOX: usize = 0;

/// One per process: there is one thread that watches.
static WATCHER: Watcher = Watcher::new(&TASKS);

/// Starts the thread unless it runs, and keeps it going until the hold is dropped.
pub(crate) fn hold() -> WatchHold {
    WATCHER.hold()
}

/// Starts the thread unless it runs, and keeps it going as long as the process.
fn hold_for_good() -> std::io::Result<()> {
    let hold = hold();
    if !WATCHER.start() {
        return Err(std::io::ErrorKind::OutOfMemory.into());
    }
    std::mem::forget(hold);
    Ok(())
}

/// Has the black box look at once. For signal handlers too.
fn wake_black_box() {
    WATCHER.wake(BLACK_BOX);
}
