//! `Collector`: the metrics in a registry of the crate `prometheus-client`.

use std::fmt;

use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::definitions::{Kind, METRICS, Number};
use super::mem_stats::mem_stats;
use crate::record::Suspended;

/// Reads everything whenever the registry is encoded. Costs a [`mem_stats`](crate::mem_stats) each time.
///
/// `process_*` is left out: those are the same for every library, and where they are wanted they are there already.
///
/// ```
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(debug_pprof::stats::Collector::new()));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Collector {}

impl Collector {
    /// One for each registry: two in one would give every metric twice.
    pub const fn new() -> Collector {
        Collector {}
    }
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let _own = Suspended::new();
        let stats = mem_stats();
        for metric in METRICS.iter().filter(|metric| !metric.is_everybodys()) {
            let values = metric.values(&stats);
            if values.is_empty() {
                continue;
            }
            let sample = metric.sample_name();
            let (name, kind) = match metric.kind {
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Counter => (metric.name, MetricType::Counter),
                Kind::CounterBesideGauge => (sample.as_str(), MetricType::Unknown),
            };
            // The encoder puts the unit behind the name, and `_total` behind a counter's.
            let (name, unit) = match metric
                .unit
                .filter(|_| metric.kind != Kind::CounterBesideGauge)
            {
                Some("bytes") => (without(name, "_bytes"), Some(Unit::Bytes)),
                Some("seconds") => (without(name, "_seconds"), Some(Unit::Seconds)),
                _ => (name, None),
            };
            let mut family = encoder.encode_descriptor(name, metric.help, unit.as_ref(), kind)?;
            for value in &values {
                // Without labels there is no label set at all: an empty one would leave `{}` behind the name.
                if value.labels.is_empty() {
                    encode(&mut family, metric.kind, value.number)?;
                } else {
                    let mut member = family.encode_family(&value.labels)?;
                    encode(&mut member, metric.kind, value.number)?;
                }
            }
        }
        Ok(())
    }
}

fn without<'a>(name: &'a str, unit: &str) -> &'a str {
    name.strip_suffix(unit).unwrap_or(name)
}

fn encode(encoder: &mut MetricEncoder<'_>, kind: Kind, number: Number) -> fmt::Result {
    match (kind, number) {
        (Kind::Counter, Number::Whole(number)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(&number, None)
        }
        (Kind::Counter, Number::Real(number)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(&number, None)
        }
        // Bytes and counts are exact up to 2^53.
        (_, number) => encoder.encode_gauge(&number.as_f64()),
    }
}
