//! The black box: heap profiles on disk, so that what filled the memory can be read after the kernel has killed the process.
//!
//! ```text
//!  readings ─▶ threshold ─┐
//!  signal, endings ─▶ requests ─▶ running ─▶ profile::RawProfile ─▶ directory ─▶ heap-….pb.gz
//!                                    └ rotation                          └ names, life
//!  the next run:  previous ─▶ profile::reread ─▶ heap?previous=1
//! ```

mod blocked_signals;
mod builder;
mod directory;
mod endings;
mod life;
mod names;
mod previous;
mod readings;
mod requests;
mod rotation;
mod running;
mod settings;
mod signal;
mod threshold;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

pub use self::builder::BlackBoxBuilder;
use self::names::Cause;
#[cfg(feature = "http")]
pub(crate) use self::previous::NoPrevious;
use self::previous::Previous;
use self::requests::Requests;
use self::running::Running;
use self::settings::{DIR_VARIABLE, Settings};
use crate::error::Error;
use crate::fork_lock::ForkLock;
#[cfg(feature = "http")]
use crate::profile::Pieces;
use crate::profile::without_sampling;
use crate::record;

/// Dumps that are kept in a directory, of this process and of those that are over.
pub const DEFAULT_DUMPS_KEPT: usize = 5;

/// Bytes of dumps that are kept in a directory, 64 MiB. One has some hundred kilobytes, 8 MiB at most.
pub const DEFAULT_DUMP_BYTES: u64 = 64 << 20;

/// The share of the memory limit at which a dump is written. Lower, and a service that runs near its limit has one that
/// says nothing; higher, and a fast leak is killed before it is written.
pub const DEFAULT_SHARE_OF_LIMIT: f64 = 0.8;

/// The memory pressure at which a dump is written: of ten seconds, how many in a hundred something waited for memory.
pub const DEFAULT_PRESSURE: f64 = 10.0;

/// What it has open and remembers; None before it is started.
static STATE: ForkLock<Option<Running>> = ForkLock::new(None, || None);

/// What is asked of it by those who may not take a lock.
static REQUESTS: Requests = Requests::new();

/// Writes heap profiles to a directory when memory runs short, so that they survive the kill.
///
/// A watcher looks at the process's memory once a second, ten times a second when it is half way to a threshold. When it
/// passes one, the heap profile is written in raw form (addresses and build ids; `go tool pprof BINARY FILE` names them)
/// from buffers that were reserved at the start: with little time and no new memory. A line on stderr says why, where, and
/// which five stacks hold the most. After that the next dump is due when memory has grown by a tenth, or when it has been
/// down and up again and ten minutes have gone by.
///
/// A file has its final name only when it is whole and on disk. The last [`keep`](BlackBoxBuilder::keep) are kept. A process
/// that is killed is reported on stderr by the next one that uses the directory, which serves the last dump at
/// `/debug/pprof/heap?previous=1`, with names if it is the same binary.
///
/// The environment variable `DEBUG_PPROF_DUMP_DIR` turns it on with all defaults in a program that starts a server.
///
/// Cost: 1.3 MB of memory, and some microseconds for each look. A dump of 10 000 stacks takes some tens of milliseconds on
/// the watcher's thread; nobody waits for it.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();
/// # fn main() -> Result<(), debug_pprof::Error> {
/// # let dir = std::env::temp_dir().join(format!("debug-pprof-doc-{}", std::process::id()));
/// debug_pprof::BlackBox::builder()
///     .dir(&dir)
///     .keep(5)
///     .share_of_limit(0.8)
///     .rss_above(2 << 30)
///     .on_panic(true)
///     .start()?;
/// # let path = debug_pprof::BlackBox::dump()?;
/// # assert!(path.is_file());
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct BlackBox;

impl BlackBox {
    /// One with every setting at its default, and in the directory that `DEBUG_PPROF_DUMP_DIR` names, if it is set.
    pub fn builder() -> BlackBoxBuilder {
        BlackBoxBuilder::new()
    }

    /// Writes a dump now, on this thread, and returns its path. Not for signal handlers.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it has not been started in this process; [`Error::DumpDir`] if it cannot be written.
    pub fn dump() -> Result<PathBuf, Error> {
        without_sampling(|| {
            let mut state = STATE.lock();
            match own(&mut state) {
                Some(running) => running.dump(Cause::Call, "asked for by the program"),
                None => Err(Error::config(
                    "BlackBox::dump",
                    "it has not been started in this process; call `BlackBox::builder().start()` first",
                )),
            }
        })
    }

    /// The last dump of an earlier process in the directory; None if there is none, or before the start.
    pub fn previous() -> Option<PathBuf> {
        let mut state = STATE.lock();
        match own(&mut state)?.previous() {
            Previous::Dump { path, .. } => Some(path.clone()),
            Previous::None(_) => None,
        }
    }
}

/// What runs in this process: in a fork child what is there is its parent's.
fn own(state: &mut Option<Running>) -> Option<&mut Running> {
    state
        .as_mut()
        .filter(|running| running.process == record::process())
}

/// Starts one for the life of the process.
fn start(settings: Settings) -> Result<(), Error> {
    without_sampling(|| {
        let mut state = STATE.lock();
        if let Some(running) = own(&mut state) {
            let dir = running.directory().path().display();
            return Err(Error::config(
                "BlackBox",
                format!("it runs already, in {dir}; start it once, or unset {DIR_VARIABLE}"),
            ));
        }
        if settings.on_panic && std::thread::panicking() {
            let reason = "a thread that panics cannot set a panic hook; start it elsewhere";
            return Err(Error::config("BlackBox::on_panic", reason));
        }
        let running = Running::begin(settings)?;
        let signal = running.settings().signal.map_or(Ok(()), signal::install);
        let watched = signal
            .map_err(|reason| Error::config("BlackBox::signal", reason))
            .and_then(|()| super::hold_for_good().map_err(Error::Thread));
        if let Err(error) = watched {
            running.end();
            return Err(error);
        }
        REQUESTS.open(record::process());
        arm(&running);
        *state = Some(running);
        drop(state);
        wake();
        Ok(())
    })
}

/// Has the end of the process do what the settings say.
fn arm(running: &Running) {
    let settings = running.settings();
    let running = running.sign_of_life();
    endings::arm(settings.on_panic, settings.at_exit, &running);
}

/// Starts one if the environment asks for it, and none runs. What is wrong is said on stderr: a service must not stay down
/// for want of it.
#[cfg(feature = "http")]
pub(crate) fn start_from_environment() {
    without_sampling(|| {
        let Some(settings) = Settings::of_environment() else {
            return;
        };
        if own(&mut STATE.lock()).is_some() {
            return;
        }
        if let Err(error) = start(settings) {
            say(&format!("no dumps as {DIR_VARIABLE} asks for: {error}"));
        }
    });
}

/// The watcher's task.
pub(super) fn run() -> Option<Instant> {
    let mut state = STATE.lock();
    own(&mut state).map(|running| running.turn(&REQUESTS))
}

/// Has the task run at once. For signal handlers too.
fn wake() {
    super::wake_black_box();
}

/// The heap profile of the previous process, with names if `symbolize` and if they are known here.
#[cfg(feature = "http")]
pub(crate) fn previous_heap(symbolize: bool) -> Result<Pieces, NoPrevious> {
    let known = {
        let mut state = STATE.lock();
        own(&mut state).map(|running| {
            let directory = running.directory().path().to_owned();
            (running.previous().clone(), directory)
        })
    };
    match known {
        Some((previous, directory)) => previous.read(&directory, symbolize),
        None => Err(NoPrevious::None(format!(
            "no directory for dumps is in use; set {DIR_VARIABLE}, or start a `BlackBox`"
        ))),
    }
}

/// A line on stderr, in one write.
fn say(line: &str) {
    let line = format!("debug-pprof: {line}\n");
    // Not `eprintln!`, which panics if stderr is a closed pipe.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
