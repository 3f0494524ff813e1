//! `render`: the metrics as text, in the two formats that Prometheus reads.

use std::fmt::Write;

use super::definitions::{Definition, Kind, METRICS, Number, Value};
use super::mem_stats::{MemStats, mem_stats};
use crate::record::Suspended;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text exposition format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The value of the header `Content-Type` for it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics of this process, read now. What cannot be known has no line.
///
/// Costs a [`mem_stats`](crate::mem_stats) and some kilobytes for the text.
///
/// ```
/// use debug_pprof::stats::{Format, render};
///
/// let text = render(Format::Prometheus);
/// assert!(text.contains("# TYPE process_resident_memory_bytes gauge\n"));
/// ```
pub fn render(format: Format) -> String {
    let _own = Suspended::new();
    render_stats(&mem_stats(), format)
}

fn render_stats(stats: &MemStats, format: Format) -> String {
    // About what it takes: no growth in steps.
    let mut text = String::with_capacity(6 * 1024);
    for metric in METRICS {
        let values = metric.values(stats);
        if !values.is_empty() {
            write_family(&mut text, metric, &values, format);
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

// Writing to a String cannot fail.
fn write_family(text: &mut String, metric: &Definition, values: &[Value], format: Format) {
    let sample = metric.sample_name();
    let (family, kind, unit) = match (metric.kind, format) {
        (Kind::Gauge, _) => (sample.as_str(), "gauge", metric.unit),
        (_, Format::Prometheus) => (sample.as_str(), "counter", None),
        (Kind::Counter, Format::OpenMetrics) => (metric.name, "counter", metric.unit),
        (Kind::CounterBesideGauge, Format::OpenMetrics) => (sample.as_str(), "unknown", None),
    };
    let _ = writeln!(text, "# HELP {family} {}", metric.help);
    let _ = writeln!(text, "# TYPE {family} {kind}");
    if let (Format::OpenMetrics, Some(unit)) = (format, unit) {
        let _ = writeln!(text, "# UNIT {family} {unit}");
    }
    for value in values {
        text.push_str(&sample);
        for (index, (key, value)) in value.labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            // A service's own allocator may call itself anything.
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(text, "{before}{key}=\"{value}\"");
        }
        if !value.labels.is_empty() {
            text.push('}');
        }
        let _ = match value.number {
            Number::Whole(number) => writeln!(text, " {number}"),
            Number::Real(number) => writeln!(text, " {number}"),
        };
    }
}
