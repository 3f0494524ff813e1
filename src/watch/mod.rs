//! What keeps watch over time: a thread that does something only when it is due, and what it remembers.
//!
//! ```text
//! thread ─▶ history (ring of snapshots, peak) ◀─ growth (since, peak, leaks) ◀─ http
//!        └▶ black_box ─▶ dumps
//! ```
//!
//! The room asks `profile` and `record` for counts, outside malloc, and knows no socket.

mod black_box;
#[cfg(feature = "http")]
mod growth;
#[cfg(feature = "http")]
mod history;
#[cfg(feature = "http")]
mod leaks;
#[cfg(feature = "http")]
mod options;
#[cfg(feature = "http")]
mod ring;
#[cfg(feature = "http")]
mod snapshot;
mod thread;
#[cfg(feature = "http")]
mod trend;

pub use self::black_box::{
    BlackBox, BlackBoxBuilder, DEFAULT_DUMP_BYTES, DEFAULT_DUMPS_KEPT, DEFAULT_PRESSURE,
    DEFAULT_SHARE_OF_LIMIT,
};
#[cfg(feature = "http")]
pub(crate) use self::black_box::{NoPrevious, previous_heap, start_from_environment};
#[cfg(feature = "http")]
pub use self::growth::watch;
#[cfg(feature = "http")]
pub(crate) use self::growth::{counts, leaks, peak, set, since};
#[cfg(feature = "http")]
pub use self::options::WatchOptions;
pub(crate) use self::thread::Hold as WatchHold;
use self::thread::{Task, Watcher};

/// All tasks of the watcher's thread, each with a number of its own: what it is woken by.
const TASKS: &[Task] = &[
    Task {
        run: black_box::run,
    },
    #[cfg(feature = "http")]
    Task {
        run: history::snapshot,
    },
    #[cfg(feature = "http")]
    Task {
        run: history::look_for_peak,
    },
];
const BLACK_BOX: usize = 0;

/// One per process: there is one thread that watches.
static WATCHER: Watcher = Watcher::new(TASKS);

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
