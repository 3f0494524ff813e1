//! What can go wrong, and what to do about it: one type for the whole crate.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a call failed. The text of each says what to do next, `Debug` included: that is what a `main` that returns a
/// `Result` prints.
#[non_exhaustive]
pub enum Error {
    /// No [`ProfiledAllocator`](crate::ProfiledAllocator) is the process's global allocator.
    NotInstalled,
    /// The listening socket could not be had.
    Bind {
        /// The address or path that was asked for.
        addr: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// An address that other machines can reach was asked for, with neither a token nor consent.
    Exposed {
        /// The address that was refused.
        addr: String,
    },
    /// A value that a builder or an environment variable cannot take.
    Config {
        /// The setting's name.
        setting: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A thread of the profiler could not be started.
    Thread(io::Error),
    /// The system has not the memory that taking and writing a profile needs. Nothing was lost: the profile can be taken
    /// when there is more.
    NoMemory,
    /// Profiles cannot be kept in a directory.
    DumpDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// Writing a profile to the caller's writer failed.
    Write(io::Error),
}

impl Error {
    pub(crate) fn config(setting: &str, reason: impl Into<String>) -> Error {
        Error::Config {
            setting: setting.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotInstalled => f.write_str(
                "debug-pprof is not this process's global allocator, so there is nothing to profile; \
                 add these two lines to the program's main file:\n\
                 #[global_allocator]\n\
                 static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();",
            ),
            Error::Bind { addr, source } if source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {addr}: it is in use, by this process (was `serve` called twice?) or by \
                 another; stop that one, or choose another port (0 picks a free one)"
            ),
            Error::Bind { addr, source } => {
                write!(f, "cannot listen on {addr}: {source}; choose an address of this machine")
            }
            Error::Exposed { addr } => write!(
                f,
                "refusing to listen on {addr}: other machines can reach it, and profiles reveal function \
                 names, paths and arguments; bind 127.0.0.1, or set a token (DEBUG_PPROF_TOKEN_FILE or \
                 `bearer_token`), or consent with `allow_unauthenticated`"
            ),
            Error::Config { setting, reason } => write!(f, "{setting}: {reason}"),
            Error::Thread(source) => write!(
                f,
                "cannot start a thread for the profiler: {source}; raise the process's thread limit"
            ),
            Error::NoMemory => f.write_str(
                "the system gives no memory for a profile (address space limit, overcommit, or number of \
                 mappings: vm.max_map_count); nothing is lost, try again, or raise that limit",
            ),
            Error::DumpDir { path, reason } => write!(
                f,
                "cannot keep heap profiles in {}: {reason}",
                path.display()
            ),
            Error::Write(source) => write!(f, "cannot write the profile: {source}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { source, .. } | Error::Thread(source) | Error::Write(source) => {
                Some(source)
            }
            Error::NotInstalled
            | Error::Exposed { .. }
            | Error::Config { .. }
            | Error::DumpDir { .. }
            | Error::NoMemory => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_that_returns_the_error_prints_the_remedy() {
        let addr = || "127.0.0.1:6060".to_owned();
        let system = |kind: io::ErrorKind| io::Error::from(kind);
        for (error, remedy) in [
            (Error::NotInstalled, "#[global_allocator]"),
            (
                Error::Bind {
                    addr: addr(),
                    source: system(io::ErrorKind::AddrInUse),
                },
                "choose another port",
            ),
            (
                Error::Bind {
                    addr: addr(),
                    source: system(io::ErrorKind::AddrNotAvailable),
                },
                "choose an address of this machine",
            ),
            (Error::Exposed { addr: addr() }, "bind 127.0.0.1"),
            (Error::NoMemory, "raise that limit"),
            (
                Error::Thread(system(io::ErrorKind::OutOfMemory)),
                "raise the process's thread limit",
            ),
        ] {
            assert!(format!("{error:?}").contains(remedy), "{error:?}");
        }
    }
}
