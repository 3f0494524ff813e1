//! What is asked of the history: growth since a moment, the peak, what leaks.

use std::time::{Duration, Instant};

use super::history;
use super::leaks::{Leaks, find};
use super::options::WatchOptions;
use super::{TASKS, WATCHER, hold_for_good};
use crate::error::Error;
use crate::profile::{HeapProfile, without_sampling};

/// Watches the process from now on, as [`http::Server`](crate::http::Server) does while it runs: takes a snapshot of the
/// counts each period, and looks for a new peak sixty times a period. Called again it changes the options; another period
/// begins a new history.
///
/// Cost: one thread that sleeps, 50 ns a bucket for each look, and the history's memory.
///
/// # Errors
/// [`Error::Config`] for a period under a millisecond; [`Error::Thread`] if there is no thread to be had.
pub fn watch(options: WatchOptions) -> Result<(), Error> {
    without_sampling(|| set(options))?;
    hold_for_good().map_err(Error::Thread)
}

/// Takes options over, for who keeps the thread going otherwise.
pub(crate) fn set(options: WatchOptions) -> Result<(), Error> {
    if options.period < Duration::from_millis(1) {
        return Err(Error::Config {
            setting: "period".to_owned(),
            reason: format!(
                "{:?} is too short; use a millisecond or more",
                options.period
            ),
        });
    }
    history::set(options);
    for nth in 0..TASKS.len() {
        WATCHER.wake(nth);
    }
    Ok(())
}

/// Where no server keeps watch, whoever asks first begins it, for good.
fn ensure() {
    if !WATCHER.start() {
        // Without a thread what there is answers.
        let _ = hold_for_good();
    }
}

/// The growth since `age` ago: since the youngest snapshot that is at least as old or, where the watch is younger, since
/// its beginning. A note says which. `None` if the watch has only just begun.
pub(crate) fn since(age: Duration) -> Result<Option<HeapProfile>, Error> {
    ensure();
    let Some(grown) = history::since(age)? else {
        return Ok(None);
    };
    let real = grown.duration().unwrap_or_default();
    let note = if real < age {
        format!(
            "growth in {}, since the watch began: {} ago it had not",
            shown(real),
            shown(age)
        )
    } else {
        format!(
            "growth in {}: since the snapshot nearest to {} ago",
            shown(real),
            shown(age)
        )
    };
    Ok(Some(grown.with_note(note)))
}

/// The profile at the highest in-use so far.
pub(crate) fn peak() -> Result<HeapProfile, Error> {
    ensure();
    let peak = history::peak()?;
    let ago = Instant::now().saturating_duration_since(peak.taken());
    let note = format!(
        "the highest in-use that was seen, {} bytes, {} ago; looked for each second, so shorter peaks may be missing",
        peak.total().inuse_space,
        shown(ago)
    );
    Ok(peak.with_note(note))
}

/// What leaks, in any of the windows that the history has, or in the one that began so long ago.
pub(crate) fn leaks(since: Option<Duration>) -> Result<Leaks, Error> {
    ensure();
    find(since)
}

/// How many stacks leak, and how many entries the profile at the peak has, for a list of what there is: 0 where the watch does
/// not know it yet, and nothing is begun for it.
pub(crate) fn counts() -> (usize, usize) {
    (
        find(None).map_or(0, |leaks| leaks.count()),
        history::peak_entries(),
    )
}

/// A span as people say it: its two largest units.
pub(super) fn shown(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
    }
}
