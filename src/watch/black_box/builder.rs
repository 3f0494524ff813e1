//! `BlackBoxBuilder`: the settings of a black box.

use std::path::PathBuf;

use super::settings::Settings;
use crate::error::Error;

/// The settings of a [`BlackBox`](super::BlackBox). Made by [`BlackBox::builder`](super::BlackBox::builder); wrong values are
/// reported by [`start`](BlackBoxBuilder::start).
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start`"]
pub struct BlackBoxBuilder(Settings);

impl BlackBoxBuilder {
    pub(super) fn new() -> Self {
        let of_environment = Settings::of_environment();
        Self(of_environment.unwrap_or_else(|| Settings::new(PathBuf::new())))
    }

    /// The directory for dumps. Made if only its last component is missing. It must be writable, and not for everybody unless
    /// it has the sticky bit. Several processes may use one. Default: what `DEBUG_PPROF_DUMP_DIR` says.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.0.dir = dir.into();
        self
    }

    /// Dumps that are kept in the directory, at least 1. The newest is never removed, nor, of more than one, the one at this
    /// process's highest memory. Default: [`DEFAULT_DUMPS_KEPT`](super::DEFAULT_DUMPS_KEPT).
    pub fn keep(mut self, dumps: usize) -> Self {
        self.0.keep = dumps;
        self
    }

    /// Bytes that the dumps in the directory may take; while one is written there is one more. Default:
    /// [`DEFAULT_DUMP_BYTES`](super::DEFAULT_DUMP_BYTES).
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.0.max_bytes = bytes;
        self
    }

    /// Dumps when resident memory is above so many bytes. Default: not.
    pub fn rss_above(mut self, bytes: u64) -> Self {
        self.0.resident_above = Some(bytes);
        self
    }

    /// Dumps when so many bytes of the heap are in use, as the samples say. Default: not.
    pub fn in_use_above(mut self, bytes: u64) -> Self {
        self.0.in_use_above = Some(bytes);
        self
    }

    /// Dumps when more than this share, above 0 and at most 1, of the tightest limit is used: of a control group's (versions
    /// 1 and 2, those above it too), of the address space (`RLIMIT_AS`), or, where there is neither, when this process alone
    /// has that share of the machine's memory. `None`: not. Default:
    /// [`DEFAULT_SHARE_OF_LIMIT`](super::DEFAULT_SHARE_OF_LIMIT).
    pub fn share_of_limit(mut self, share: impl Into<Option<f64>>) -> Self {
        self.0.share_of_limit = share.into();
        self
    }

    /// Dumps when something in the control group, or on the machine, waited for memory during more than so many per cent of
    /// the last ten seconds (the kernel's `memory.pressure`, "some"). `None`, or a kernel that does not say: not. Default:
    /// [`DEFAULT_PRESSURE`](super::DEFAULT_PRESSURE).
    pub fn pressure(mut self, per_cent: impl Into<Option<f64>>) -> Self {
        self.0.pressure = per_cent.into();
        self
    }

    /// Dumps when the process gets this signal, `libc::SIGUSR2` say. It must have no handler yet, and one that is installed
    /// later takes it away. Default: none.
    pub fn signal(mut self, signal: i32) -> Self {
        self.0.signal = Some(signal);
        self
    }

    /// Dumps at a panic, once a minute at most. The hook that was there is called as ever; the panicking thread then waits for
    /// the dump, 3 s at most. With `panic = "abort"` too. Default: not.
    pub fn on_panic(mut self, yes: bool) -> Self {
        self.0.on_panic = yes;
        self
    }

    /// Dumps when the process calls `exit` or returns from `main`, and waits for it, 3 s at most. Default: not.
    pub fn at_exit(mut self, yes: bool) -> Self {
        self.0.at_exit = yes;
        self
    }

    /// Starts it for the life of the process. A child of `fork` has none until it starts its own.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a value that makes no sense, for a signal that has a handler, and if one runs already;
    /// [`Error::DumpDir`] for a directory that cannot be written to or that everybody may write to; [`Error::NotInstalled`],
    /// [`Error::NoMemory`] and [`Error::Thread`].
    pub fn start(self) -> Result<(), Error> {
        super::start(self.0)
    }
}
