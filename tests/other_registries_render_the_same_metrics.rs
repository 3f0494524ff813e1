//! The facade `metrics` and a registry of `prometheus-client` get the names, types and values that `/metrics` has.
#![cfg(all(feature = "metrics", feature = "prometheus-client"))]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use debug_pprof::stats::{Collector, Format, facade, render};
use debug_pprof::{ProfiledAllocator, set_sample_rate};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use prometheus_client::registry::Registry;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1024);

/// Series to value, and family to type.
#[derive(Debug, Default, PartialEq)]
struct Metrics {
    values: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
}

impl Metrics {
    fn parse(text: &str) -> Metrics {
        let mut metrics = Metrics::default();
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some((family, kind)) = line
                .strip_prefix("# TYPE ")
                .and_then(|rest| rest.split_once(' '))
            {
                metrics.types.insert(family.into(), kind.into());
            } else if let Some((family, help)) = line
                .strip_prefix("# HELP ")
                .and_then(|rest| rest.split_once(' '))
            {
                metrics.helps.insert(family.into(), help.into());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a sample");
                let twice = metrics
                    .values
                    .insert(series.into(), value.parse().expect("a number"));
                assert_eq!(twice, None, "{series}");
            }
        }
        metrics
    }

    /// Without what belongs to everybody, and without what the kernel changes between two reads.
    fn comparable(mut self) -> Metrics {
        self.values.retain(|name, _| !name.starts_with("process_"));
        self.types.retain(|name, _| !name.starts_with("process_"));
        self.helps.retain(|name, _| !name.starts_with("process_"));
        for (name, value) in &mut self.values {
            if name.starts_with("rust_cgroup_") || name == "rust_threads" {
                *value = 0.0;
            }
        }
        self
    }
}

/// Names and types to the letter; values of the sampler, which stands still, to the bit. What is counted exactly moves on
/// between two reads.
#[track_caller]
fn assert_same(theirs: &Metrics, ours: &Metrics) {
    assert_eq!((&theirs.types, &theirs.helps), (&ours.types, &ours.helps));
    let names = |metrics: &Metrics| metrics.values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(theirs), names(ours));
    for (name, ours) in &ours.values {
        let slack = if name.starts_with("rust_memstats_") {
            1e5 + ours * 0.05
        } else {
            0.0
        };
        let theirs = theirs.values[name];
        assert!((theirs - ours).abs() <= slack, "{name}: {theirs}, {ours}");
    }
}

/// One value each; gauges as the bits of a float.
#[derive(Debug, Default)]
struct Recorded {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    helps: Mutex<BTreeMap<String, String>>,
}

fn series(key: &Key) -> String {
    let labels: Vec<_> = key
        .labels()
        .map(|label| format!("{}=\"{}\"", label.key(), label.value()))
        .collect();
    match labels.as_slice() {
        [] => key.name().to_owned(),
        labels => format!("{}{{{}}}", key.name(), labels.join(",")),
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.helps
            .lock()
            .expect("whole")
            .insert(key.as_str().into(), help.to_string());
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe_counter(key, unit, help);
    }
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there is none");
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(
            self.counters
                .lock()
                .expect("whole")
                .entry(series(key))
                .or_default()
                .clone(),
        )
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(
            self.gauges
                .lock()
                .expect("whole")
                .entry(series(key))
                .or_default()
                .clone(),
        )
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there is none");
    }
}

#[test]
fn names_types_and_values_are_the_same() {
    let kept: Vec<Vec<u8>> = (0..1000).map(|i| vec![1; 16 * (i + 1)]).collect();
    // From here on the sampler's counts stand still, but for frees of what was sampled before: there are none.
    set_sample_rate(0);
    let ours = Metrics::parse(&render(Format::OpenMetrics)).comparable();
    assert!(ours.values["rust_memstats_alloc_bytes"] > 8e6, "{ours:?}");

    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collector::new()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
    assert_same(&Metrics::parse(&text).comparable(), &ours);

    // The facade's names are those of the samples, as in the plain text format.
    let plain = Metrics::parse(&render(Format::Prometheus)).comparable();
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        facade::describe();
        facade::tick();
    });
    let mut theirs = Metrics::default();
    for (values, kind) in [(&recorded.counters, "counter"), (&recorded.gauges, "gauge")] {
        for (series, value) in values.lock().expect("whole").iter() {
            let bits = value.load(Ordering::Relaxed);
            let value = if kind == "counter" {
                bits as f64
            } else {
                f64::from_bits(bits)
            };
            theirs.values.insert(series.clone(), value);
            let family = series.split('{').next().unwrap_or_default();
            theirs.types.insert(family.into(), kind.into());
        }
    }
    theirs.helps = recorded.helps.into_inner().expect("whole");
    // Everything is described, whether it is known now or not.
    assert!(
        plain
            .helps
            .iter()
            .all(|(family, help)| theirs.helps.get(family) == Some(help))
    );
    theirs.helps = plain.helps.clone();
    assert_same(&theirs.comparable(), &plain);
    drop(kept);
}
