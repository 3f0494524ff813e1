//! The catalog: every name under `/debug/pprof/`, Go's description of it, and what answers it here.

use super::stacks::StackSource;
use crate::profile::DefaultSampleType;

/// A name that Go serves.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// For the index page.
    pub(super) description: &'static str,
    pub(super) content: Content,
}

/// What answers a name.
#[derive(Debug)]
pub(super) enum Content {
    /// The memory buckets, as a profile, its text form and its delta.
    Memory(DefaultSampleType),
    /// The same of counts by stack.
    Stacks(StackSource),
    /// The time of the processor.
    Cpu,
    /// What the watcher remembers.
    Watched(Watched),
    /// The program's arguments.
    Cmdline,
    /// Addresses to names.
    Symbol,
    /// Nothing: 501 with this reason, and not on the index page.
    Absent(&'static str),
}

/// What the watcher remembers, beside the history that `since` asks for. Not Go's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Watched {
    /// The heap profile at the peak.
    Peak,
    /// What grows and does not stop.
    Leaks,
}

/// The names in the index page's order, which is the alphabet's.
pub(super) const CATALOG: &[Entry] = &[
    Entry {
        name: "allocs",
        description: "A sampling of all past memory allocations",
        content: Content::Memory(DefaultSampleType::AllocSpace),
    },
    Entry {
        name: "block",
        description: "Stack traces that led to blocking on synchronization primitives. Always empty: nothing in \
                      Rust's standard library counts them.",
        content: Content::Stacks(StackSource::Contention(
            "--- contention:\ncycles/second=1000000000\n",
        )),
    },
    Entry {
        name: "cmdline",
        description: "The command line invocation of the current program",
        content: Content::Cmdline,
    },
    Entry {
        name: "goroutine",
        description: "Stack traces of all current threads, each asked by a signal, and of all tracked tasks, each where it waits; those \
                      that cannot answer are listed with what they do and why. Use debug=2 as a query parameter to export each with its name, state and age.",
        content: Content::Stacks(StackSource::Goroutine),
    },
    Entry {
        name: "goroutineleak",
        description: "Stack traces of tracked tasks that wait and that nothing can wake any more: no clone of their waker is left. \
                      min_age=10m lists those too that have not been polled for as long. Use debug=2 as a query \
                      parameter to export each with its name, state and age.",
        content: Content::Stacks(StackSource::GoroutineLeak),
    },
    Entry {
        name: "heap",
        description: "A sampling of memory allocations of live objects. There is no garbage collector here: the gc \
                      GET parameter is accepted and does nothing. min_age=10m keeps what has lived as long, \
                      label=age splits everything by age, label=type says what is stored in it, label=age,type both. \
                      since=1h asks for the growth since then, rss=1 adds all other physical memory.",
        content: Content::Memory(DefaultSampleType::Unset),
    },
    Entry {
        name: "leaks",
        description: "Stacks whose memory grows and stays, the worst first. With debug=1 a table that says since when, \
                      how fast and what to do next. The since GET parameter says over which time.",
        content: Content::Watched(Watched::Leaks),
    },
    Entry {
        name: "mutex",
        description: "Stack traces of holders of contended mutexes. Always empty: nothing in Rust's standard \
                      library counts them.",
        content: Content::Stacks(StackSource::Contention(
            // The sampling period is what Go prints while mutex profiling is off.
            "--- mutex:\ncycles/second=1000000000\nsampling period=0\n",
        )),
    },
    Entry {
        name: "peakheap",
        description: "The heap profile at the highest in-use so far, as far as it was seen by a look each second.",
        content: Content::Watched(Watched::Peak),
    },
    Entry {
        name: "profile",
        description: "CPU profile. You can specify the duration in the seconds GET parameter, and ticks per second of \
                      processor time in hz. After you get the profile file, use the go tool pprof command to investigate \
                      the profile.",
        content: Content::Cpu,
    },
    Entry {
        name: "symbol",
        description: "Maps given program counters to function names. Counters can be specified in a GET raw query \
                      or POST body, multiple counters are separated by &#39;+&#39;.",
        content: Content::Symbol,
    },
    Entry {
        name: "threadcreate",
        description: "The OS threads that there are, by what they were started to run: the root of each stack, from the thread's \
                      start to the first function that is neither the standard library's nor C's. Who started them \
                      is not recorded.",
        content: Content::Stacks(StackSource::ThreadCreate),
    },
    Entry {
        name: "trace",
        description: "A trace of execution of the current program",
        content: Content::Absent(
            "Go's execution trace has no counterpart in a Rust process; use `perf trace -p PID`, or \
             tokio-console for tasks",
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::CATALOG;
    use crate::Profile;

    #[test]
    fn no_profile_of_ones_own_takes_their_names() {
        for entry in CATALOG {
            assert!(Profile::named(entry.name).is_err(), "{}", entry.name);
        }
    }

    #[test]
    fn names_are_in_the_alphabets_order() {
        assert!(CATALOG.is_sorted_by(|one, next| one.name < next.name));
    }
}
