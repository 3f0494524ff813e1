//! The table of metrics: every form of them is made of it.
//!
//! Names, types and help texts follow Go's client library with `rust_` for `go_`, so that alerts and dashboards carry over.

use super::allocator_view::AllocatorView;
use super::mem_stats::MemStats;

/// A family of metrics.
#[derive(Debug)]
pub(super) struct Definition {
    /// Without a counter's `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What the name ends in, if that is a unit.
    pub(super) unit: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) read: Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    /// A counter whose name without `_total` is a gauge's. OpenMetrics allows no two families of one name, so there it is
    /// one of type `unknown`, under its full name. Go's client library does the same.
    CounterBesideGauge,
}

/// Where the values are. What cannot be known is None, and has no line anywhere.
#[derive(Debug)]
pub(super) enum Read {
    One(fn(&MemStats) -> Option<Number>),
    /// One for each set of labels.
    Each(fn(&MemStats) -> Vec<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl Number {
    #[cfg_attr(
        not(any(feature = "metrics", feature = "prometheus-client")),
        expect(dead_code, reason = "for the registries of other crates")
    )]
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Number::Whole(number) => number as f64,
            Number::Real(number) => number,
        }
    }
}

/// A value with its labels, words of ours or of an allocator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) number: Number,
}

impl Definition {
    /// As its samples are called in the text formats.
    pub(super) fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Gauge => "",
            Kind::Counter | Kind::CounterBesideGauge => "_total",
        };
        [self.name, suffix].concat()
    }

    #[cfg(feature = "metrics")]
    pub(super) fn is_counter(&self) -> bool {
        self.kind != Kind::Gauge
    }

    /// Whether every client library has it: in a registry that is not ours it may be there already.
    #[cfg_attr(
        not(any(feature = "metrics", feature = "prometheus-client")),
        expect(dead_code, reason = "for the registries of other crates")
    )]
    pub(super) fn is_everybodys(&self) -> bool {
        self.name.starts_with("process_")
    }

    /// None of them if nothing is known.
    pub(super) fn values(&self, stats: &MemStats) -> Vec<Value> {
        match self.read {
            Read::One(read) => {
                let value = read(stats).map(|number| Value {
                    labels: Vec::new(),
                    number,
                });
                value.into_iter().collect()
            }
            Read::Each(read) => read(stats),
        }
    }
}

const fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    read: fn(&MemStats) -> Option<Number>,
) -> Definition {
    Definition {
        name,
        kind: Kind::Gauge,
        unit,
        help,
        read: Read::One(read),
    }
}

const fn counter(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    read: fn(&MemStats) -> Option<Number>,
) -> Definition {
    Definition {
        kind: Kind::Counter,
        ..gauge(name, unit, help, read)
    }
}

const BYTES: Option<&str> = Some("bytes");
const SECONDS: Option<&str> = Some("seconds");

pub(super) const METRICS: &[Definition] = &[
    gauge(
        "rust_memstats_alloc_bytes",
        BYTES,
        "Bytes allocated and not yet freed.",
        |stats| {
            let estimated = || estimate(stats, stats.heap.inuse_space);
            stats
                .exact
                .map(|exact| Number::Whole(exact.inuse_bytes()))
                .or_else(estimated)
        },
    ),
    Definition {
        kind: Kind::CounterBesideGauge,
        ..gauge(
            "rust_memstats_alloc_bytes",
            BYTES,
            "Bytes allocated since start, freed or not.",
            |stats| {
                let estimated = || estimate(stats, stats.heap.alloc_space);
                stats
                    .exact
                    .map(|exact| Number::Whole(exact.allocated_bytes))
                    .or_else(estimated)
            },
        )
    },
    counter(
        "rust_memstats_mallocs",
        None,
        "Allocations since start.",
        |stats| whole(stats.exact?.allocations),
    ),
    counter("rust_memstats_frees", None, "Frees since start.", |stats| {
        whole(stats.exact?.frees)
    }),
    gauge(
        "rust_memstats_heap_objects",
        None,
        "Live allocations (estimated by the sampler, unless they are counted).",
        |stats| {
            let estimated = || estimate(stats, stats.heap.inuse_objects);
            stats
                .exact
                .map(|exact| Number::Whole(exact.inuse_objects()))
                .or_else(estimated)
        },
    ),
    gauge(
        "rust_memstats_heap_sys_bytes",
        BYTES,
        "Address space held by the allocator.",
        |stats| whole(allocator(stats)?.mapped?),
    ),
    gauge(
        "rust_memstats_heap_inuse_bytes",
        BYTES,
        "Bytes in pages in use, or in blocks in use where the allocator does not count pages.",
        |stats| whole(allocator(stats)?.active.or(allocator(stats)?.in_use)?),
    ),
    gauge(
        "rust_memstats_heap_idle_bytes",
        BYTES,
        "Held by the allocator but not in use (fragmentation and caches).",
        |stats| whole(allocator(stats)?.idle?),
    ),
    gauge(
        "rust_memstats_heap_released_bytes",
        BYTES,
        "Given back to the OS, still mapped.",
        |stats| whole(allocator(stats)?.released?),
    ),
    gauge(
        "rust_memstats_metadata_bytes",
        BYTES,
        "The allocator's own tables.",
        |stats| whole(allocator(stats)?.metadata?),
    ),
    gauge(
        "rust_memstats_buck_hash_sys_bytes",
        BYTES,
        "Memory used by the profiler itself.",
        |stats| installed(stats, stats.profiler.memory_bytes as u64),
    ),
    gauge(
        "rust_memprofile_rate_bytes",
        BYTES,
        "Mean bytes between samples (0 = off).",
        |stats| installed(stats, stats.sample_rate as u64),
    ),
    counter(
        "rust_memprofile_samples",
        None,
        "Allocations sampled since start.",
        |stats| installed(stats, stats.samples),
    ),
    gauge(
        "rust_memprofile_live_samples",
        None,
        "Sampled allocations not yet freed.",
        |stats| installed(stats, stats.profiler.live_records as u64),
    ),
    gauge(
        "rust_memprofile_stacks",
        None,
        "Distinct entries, of stack, size, rate and labels, that were sampled.",
        |stats| installed(stats, stats.profiler.buckets as u64),
    ),
    Definition {
        name: "rust_memprofile_dropped",
        kind: Kind::Counter,
        unit: None,
        help: "Samples, labels of samples to come, and entries of own profiles that could not be kept whole.",
        read: Read::Each(|stats| {
            let profiler = &stats.profiler;
            let reasons = [
                ("bucket_limit", profiler.folded_bucket_limit),
                ("entries", profiler.folded_entries),
                ("label_cut", profiler.cut_labels),
                ("label_refused", profiler.refused_labels),
                ("labels", profiler.dropped_labels),
                ("live_limit", profiler.folded_live_limit),
                ("mixed_labels", profiler.mixed_labels),
                ("mixed_sizes", profiler.mixed_sizes),
                ("nested", profiler.nested),
                ("no_memory", profiler.folded_no_memory),
                ("stack_stopped", profiler.stopped_stacks),
                ("stack_truncated", profiler.truncated_stacks),
                ("stale", profiler.stale),
            ];
            let reasons = reasons.iter().filter(|_| stats.is_installed);
            reasons
                .map(|&(reason, count)| Value {
                    labels: vec![("reason", reason)],
                    number: Number::Whole(count),
                })
                .collect()
        }),
    },
    gauge(
        "rust_threads",
        None,
        "Number of OS threads of the process.",
        |stats| whole(stats.process.threads?),
    ),
    #[cfg(feature = "http")]
    gauge(
        "rust_tasks_alive",
        None,
        "Number of futures that are tracked: neither done nor dropped.",
        |_| whole(crate::task::alive() as u64),
    ),
    Definition {
        name: "rust_info",
        kind: Kind::Gauge,
        unit: None,
        help: "Information about the Rust profiling environment.",
        read: Read::Each(|stats| {
            let allocator = stats.allocator.map(|(name, _)| ("allocator", name));
            let version = ("version", env!("CARGO_PKG_VERSION"));
            vec![Value {
                labels: [version].into_iter().chain(allocator).collect(),
                number: Number::Whole(1),
            }]
        }),
    },
    counter(
        "process_cpu_seconds",
        SECONDS,
        "Total user and system CPU time spent in seconds.",
        |stats| stats.process.cpu_seconds.map(Number::Real),
    ),
    gauge(
        "process_open_fds",
        None,
        "Number of open file descriptors.",
        |stats| whole(stats.process.open_fds?),
    ),
    gauge(
        "process_max_fds",
        None,
        "Maximum number of open file descriptors.",
        |stats| whole(stats.process.max_fds?),
    ),
    gauge(
        "process_virtual_memory_bytes",
        BYTES,
        "Virtual memory size in bytes.",
        |stats| whole(stats.virtual_bytes?),
    ),
    gauge(
        "process_virtual_memory_max_bytes",
        BYTES,
        "Maximum amount of virtual memory available in bytes.",
        |stats| whole(stats.process.max_virtual_bytes?),
    ),
    gauge(
        "process_resident_memory_bytes",
        BYTES,
        "Resident memory size in bytes.",
        |stats| whole(stats.resident_bytes?),
    ),
    gauge(
        "process_start_time_seconds",
        SECONDS,
        "Start time of the process since unix epoch in seconds.",
        |stats| stats.process.start_time_seconds.map(Number::Real),
    ),
    gauge(
        "rust_cgroup_memory_current_bytes",
        BYTES,
        "Memory charged to the cgroup, page cache included.",
        |stats| whole(stats.cgroup?.current_bytes?),
    ),
    gauge(
        "rust_cgroup_memory_max_bytes",
        BYTES,
        "Memory limit of the cgroup; absent if there is none.",
        |stats| whole(stats.cgroup?.max_bytes?),
    ),
    gauge(
        "rust_cgroup_memory_high_bytes",
        BYTES,
        "Memory at which the cgroup is throttled; absent if there is none.",
        |stats| whole(stats.cgroup?.high_bytes?),
    ),
    gauge(
        "rust_cgroup_memory_anon_bytes",
        BYTES,
        "Anonymous memory of the cgroup.",
        |stats| whole(stats.cgroup?.anon_bytes?),
    ),
    counter(
        "rust_cgroup_memory_oom_kills",
        None,
        "Processes of the cgroup that were killed for want of memory.",
        |stats| whole(stats.cgroup?.oom_kills?),
    ),
    counter(
        "rust_cgroup_memory_high",
        None,
        "Times that the cgroup was throttled at its high mark.",
        |stats| whole(stats.cgroup?.high_events?),
    ),
];

fn allocator(stats: &MemStats) -> Option<AllocatorView> {
    stats.allocator.map(|(_, view)| view)
}

fn whole(number: u64) -> Option<Number> {
    Some(Number::Whole(number))
}

fn installed(stats: &MemStats, number: u64) -> Option<Number> {
    stats.is_installed.then_some(Number::Whole(number))
}

fn estimate(stats: &MemStats, number: i64) -> Option<Number> {
    installed(stats, u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_in_their_units_and_no_sample_has_two_families() {
        let mut names = Vec::new();
        for metric in METRICS {
            assert!(
                metric.unit.is_none_or(|unit| metric.name.ends_with(unit)),
                "{}",
                metric.name
            );
            assert!(!metric.name.ends_with("_total"), "{}", metric.name);
            names.push(metric.sample_name());
        }
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// What the alerts and the dashboard ask for is there.
    #[cfg(feature = "http")]
    #[test]
    fn the_monitoring_example_asks_for_no_other_metrics() {
        let files = [
            include_str!("../../examples/monitoring/dashboard.json"),
            include_str!("../../examples/monitoring/alerts.yml"),
        ];
        for file in files {
            let words = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let asked =
                words.filter(|word| word.starts_with("rust_") || word.starts_with("process_"));
            let mut count = 0;
            for name in asked {
                assert!(
                    METRICS.iter().any(|metric| metric.sample_name() == name),
                    "{name}"
                );
                count += 1;
            }
            assert!(count > 5);
        }
    }
}
