//! Names of the files in a dump directory: they say whose a file is and what it is worth, without being opened.
//!
//! ```text
//! running-000007-4711-882193                              process 4711 lives, or did not end cleanly
//! heap-000007-4711-882193-0002-412MiB-limit.pb.gz         its second dump
//! .unfinished-000007-4711-882193.tmp                      its next, being written
//!      │      │    │      │    │      └ why
//!      │      │    │      │    └ resident memory
//!      │      │    │      └ of this run
//!      │      │    └ when the process started, in the kernel's ticks: process ids come again
//!      │      └ process
//!      └ run: one more than any before in this directory. No clock decides what is newest
//! ```

use std::fmt;

/// A process's time with a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) number: u32,
    pub(super) process: u32,
    pub(super) start: u64,
}

/// Why a dump was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Limit,
    Resident,
    InUse,
    Pressure,
    Signal,
    Panic,
    Exit,
    Call,
}

/// A dump's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dump {
    pub(super) run: Run,
    pub(super) nth: u32,
    pub(super) mib: u64,
    pub(super) cause: Cause,
}

/// A name of this crate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Running(Run),
    Dump(Dump),
    Unfinished(Run),
}

const CAUSES: [(Cause, &str); 8] = [
    (Cause::Limit, "limit"),
    (Cause::Resident, "rss"),
    (Cause::InUse, "inuse"),
    (Cause::Pressure, "pressure"),
    (Cause::Signal, "signal"),
    (Cause::Panic, "panic"),
    (Cause::Exit, "exit"),
    (Cause::Call, "call"),
];

const SUFFIX: &str = ".pb.gz";

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}-{}-{}", self.number, self.process, self.start)
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = CAUSES.iter().find(|(cause, _)| *cause == self.cause);
        let cause = cause.map_or("", |(_, text)| text);
        let Dump { run, nth, mib, .. } = self;
        write!(f, "heap-{run}-{nth:04}-{mib}MiB-{cause}{SUFFIX}")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Running(run) => write!(f, "running-{run}"),
            Name::Dump(dump) => dump.fmt(f),
            Name::Unfinished(run) => write!(f, ".unfinished-{run}.tmp"),
        }
    }
}

impl Name {
    /// None for what is not this crate's, which is left alone.
    pub(super) fn parse(name: &str) -> Option<Name> {
        let (kind, rest) = match name.strip_prefix('.') {
            Some(hidden) => (
                ".",
                hidden.strip_suffix(".tmp")?.strip_prefix("unfinished-")?,
            ),
            None => name.split_once('-')?,
        };
        let mut fields = rest.splitn(6, '-');
        let run = Run {
            number: digits(fields.next()?)?,
            process: digits(fields.next()?)?,
            start: digits(fields.next()?)?,
        };
        let parsed = match kind {
            "running" => Name::Running(run),
            "." => Name::Unfinished(run),
            "heap" => {
                let nth = digits(fields.next()?)?;
                let mib = digits(fields.next()?.strip_suffix("MiB")?)?;
                let text = fields.next()?.strip_suffix(SUFFIX)?;
                let (cause, _) = CAUSES.iter().find(|(_, known)| *known == text)?;
                Name::Dump(Dump {
                    run,
                    nth,
                    mib,
                    cause: *cause,
                })
            }
            _ => return None,
        };
        // One spelling: what differs from it is somebody else's.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(super) fn run(&self) -> Run {
        match self {
            Name::Running(run) | Name::Unfinished(run) => *run,
            Name::Dump(dump) => dump.run,
        }
    }
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_others() {
        let run = Run {
            number: 7,
            process: 4711,
            start: 882_193,
        };
        let dump = |nth, mib, cause| {
            Name::Dump(Dump {
                run,
                nth,
                mib,
                cause,
            })
        };
        let all = [
            Name::Running(run),
            Name::Unfinished(run),
            dump(2, 412, Cause::Limit),
        ];
        assert_eq!(
            all[2].to_string(),
            "heap-000007-4711-882193-0002-412MiB-limit.pb.gz"
        );
        for (cause, _) in CAUSES {
            let name = dump(20_000, 0, cause);
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        for name in all {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        for other in [
            "",
            "running",
            "running-",
            "running-7-4711-882193",
            "running-000007-4711-882193-1",
            "running-000007--1-882193",
            "running-+00007-4711-882193",
            "running-99999999999-4711-882193",
            "heap-000007-4711-882193-0002-412MiB-limit.pb.gz.bak",
            "heap-000007-4711-882193-0002-412MiB-../x.pb.gz",
            "heap-000007-4711-882193-0002-412MiB-.pb.gz",
            "heap-000007-4711-882193-0002-412-limit.pb.gz",
            ".unfinished-000007-4711-882193",
            "heap.pb.gz",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn later_runs_and_later_dumps_are_greater() {
        let run = |number| Run {
            number,
            process: 9 - number,
            start: 5,
        };
        let dump = |number, nth| Dump {
            run: run(number),
            nth,
            mib: 1,
            cause: Cause::Exit,
        };
        assert!(dump(1, 9) < dump(2, 1) && dump(2, 1) < dump(2, 2));
    }
}
