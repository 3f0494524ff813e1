//! Which profile was asked for; some rules depend on it.

/// A profile by its name under `/debug/pprof/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Heap,
    PeakHeap,
    Leaks,
    Allocs,
    Goroutine,
    GoroutineLeak,
    ThreadCreate,
    Block,
    Mutex,
    Cpu,
    /// A profile of the program's own, with its sample type.
    Own(&'static [(&'static str, &'static str); 1]),
}

/// What tests call theirs, and its sample type.
const OWN: [(&str, &[(&str, &str); 1]); 2] = [
    (
        "example.com/goref.handles",
        &[("example_com_goref_handles", "count")],
    ),
    ("connections", &[("connections", "count")]),
];

impl Kind {
    /// By Go's name for it.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        Some(match name {
            "heap" => Kind::Heap,
            "peakheap" => Kind::PeakHeap,
            "leaks" => Kind::Leaks,
            "allocs" => Kind::Allocs,
            "goroutine" => Kind::Goroutine,
            "goroutineleak" => Kind::GoroutineLeak,
            "threadcreate" => Kind::ThreadCreate,
            "block" => Kind::Block,
            "mutex" => Kind::Mutex,
            "profile" => Kind::Cpu,
            _ => Kind::Own(OWN.into_iter().find(|own| own.0 == name)?.1),
        })
    }

    /// Go's `(type, unit)` pairs, in Go's order.
    pub(crate) fn sample_types(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Heap | Kind::PeakHeap | Kind::Allocs => &[
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ],
            Kind::Leaks => &[
                ("leak_objects", "count"),
                ("leak_space", "bytes"),
                ("leak_space_per_hour", "bytes"),
                ("old_space", "bytes"),
            ],
            Kind::Goroutine => &[("goroutine", "count")],
            Kind::GoroutineLeak => &[("goroutineleak", "count")],
            Kind::ThreadCreate => &[("threadcreate", "count")],
            Kind::Block | Kind::Mutex => &[("contentions", "count"), ("delay", "nanoseconds")],
            Kind::Cpu => &[("samples", "count"), ("cpu", "nanoseconds")],
            Kind::Own(types) => types,
        }
    }

    pub(crate) fn period_type(self) -> (&'static str, &'static str) {
        match self {
            Kind::Heap | Kind::PeakHeap | Kind::Leaks | Kind::Allocs => ("space", "bytes"),
            Kind::Cpu => ("cpu", "nanoseconds"),
            Kind::Goroutine
            | Kind::GoroutineLeak
            | Kind::ThreadCreate
            | Kind::Block
            | Kind::Mutex
            | Kind::Own(_) => self.sample_types()[0],
        }
    }

    pub(crate) fn default_sample_type(self) -> &'static str {
        match self {
            Kind::Allocs => "alloc_space",
            Kind::Leaks => "leak_space",
            _ => "",
        }
    }

    /// Whether it counts what is there, and not what has happened.
    pub(crate) fn is_of_what_exists(self) -> bool {
        matches!(
            self,
            Kind::Goroutine | Kind::GoroutineLeak | Kind::ThreadCreate
        )
    }

    pub(crate) fn is_memory(self) -> bool {
        matches!(self, Kind::Heap | Kind::PeakHeap | Kind::Allocs)
    }
}

/// Where names are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the process: names and lines in the profile.
    Symbolized,
    /// By the consumer (`?symbolize=0`): ELF addresses and build ids.
    Raw,
}

/// A profile of this kind, form and window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expect {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
    pub(crate) is_delta: bool,
    /// The exact period; `None` takes any sampling rate, 0 for "off" included.
    pub(crate) period: Option<i64>,
    /// The basename of the main binary; `None` takes any executable's.
    pub(crate) binary: Option<&'static str>,
}

impl Expect {
    /// A symbolized snapshot.
    pub(crate) const fn new(kind: Kind) -> Expect {
        Expect {
            kind,
            form: Form::Symbolized,
            is_delta: false,
            period: None,
            binary: None,
        }
    }

    /// What an answer with this file name holds, such as `heap` or `allocs-delta`; None if no profile is called so.
    pub(crate) fn of_file(name: &str) -> Option<Expect> {
        let (profile, is_delta) = match name.strip_suffix("-delta") {
            Some(profile) => (profile, true),
            None => (name, false),
        };
        Some(Expect {
            is_delta,
            ..Expect::new(Kind::named(profile)?)
        })
    }

    /// `?symbolize=0`.
    pub(crate) const fn raw(self) -> Expect {
        Expect {
            form: Form::Raw,
            ..self
        }
    }

    /// `?seconds=N`.
    pub(crate) const fn delta(self) -> Expect {
        Expect {
            is_delta: true,
            ..self
        }
    }

    /// With this sampling rate; 0 is "off".
    pub(crate) const fn period(self, period: i64) -> Expect {
        Expect {
            period: Some(period),
            ..self
        }
    }

    /// Of the executable with this file name.
    pub(crate) const fn binary(self, name: &'static str) -> Expect {
        Expect {
            binary: Some(name),
            ..self
        }
    }

    /// A CPU profile is always one of an interval, and so is what leaks.
    pub(crate) fn has_duration(self) -> bool {
        self.is_delta || matches!(self.kind, Kind::Cpu | Kind::Leaks)
    }
}

impl From<Kind> for Expect {
    fn from(kind: Kind) -> Expect {
        Expect::new(kind)
    }
}
