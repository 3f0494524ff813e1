//! The metrics through the facade of the crate `metrics`: into whatever recorder the service has installed.
//!
//! Nobody asks a recorder's sources when it is read, so the values have to be set from time to time:
//! [`tick`] does it once, [`spawn`] again and again. `process_*` is left out: those are the same for every library, and
//! where they are wanted they are there already.

use std::io;
use std::thread;
use std::time::Duration;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, Unit};

use super::definitions::{Definition, METRICS, Number, Value};
use super::mem_stats::mem_stats;
use crate::record::Suspended;

const METADATA: Metadata<'static> = Metadata::new("debug_pprof", Level::INFO, Some("debug_pprof"));

/// The descriptions, for the recorder that is installed now. Once is enough.
pub fn describe() {
    metrics::with_recorder(|recorder| {
        for metric in ours() {
            let name = KeyName::from(metric.sample_name());
            let unit = match metric.unit {
                Some("bytes") => Some(Unit::Bytes),
                Some("seconds") => Some(Unit::Seconds),
                _ => None,
            };
            if metric.is_counter() {
                recorder.describe_counter(name, unit, metric.help.into());
            } else {
                recorder.describe_gauge(name, unit, metric.help.into());
            }
        }
    });
}

/// Reads everything once and sets it in the recorder. Costs a [`mem_stats`] and what the recorder does.
///
/// A value that is no longer known keeps what it was, because the facade cannot take one back.
pub fn tick() {
    let stats = mem_stats();
    metrics::with_recorder(|recorder| {
        for metric in ours() {
            for value in metric.values(&stats) {
                set(recorder, metric, &value);
            }
        }
    });
}

/// Starts a thread that describes everything and ticks every `interval`, for as long as the process lives.
///
/// # Errors
///
/// The system's, if it gives no thread.
pub fn spawn(interval: Duration) -> io::Result<()> {
    let thread = thread::Builder::new().name("debug-pprof-met".into());
    thread.spawn(move || {
        let _own = Suspended::new();
        describe();
        loop {
            tick();
            thread::sleep(interval);
        }
    })?;
    Ok(())
}

fn ours() -> impl Iterator<Item = &'static Definition> {
    METRICS.iter().filter(|metric| !metric.is_everybodys())
}

fn set(recorder: &dyn Recorder, metric: &Definition, value: &Value) {
    let labels = value.labels.iter();
    let labels: Vec<Label> = labels
        .map(|&(key, value)| Label::from_static_parts(key, value))
        .collect();
    let key = Key::from_parts(metric.sample_name(), labels);
    match (metric.is_counter(), value.number) {
        (true, Number::Whole(number)) => {
            let counter: Counter = recorder.register_counter(&key, &METADATA);
            counter.absolute(number);
        }
        (true, Number::Real(number)) => {
            let counter: Counter = recorder.register_counter(&key, &METADATA);
            counter.absolute(number as u64);
        }
        (false, number) => {
            let gauge: Gauge = recorder.register_gauge(&key, &METADATA);
            gauge.set(number.as_f64());
        }
    }
}
