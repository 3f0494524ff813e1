//! What the soak has seen, as a table, and whether it was right.

use std::fmt;
use std::time::Duration;

use debug_pprof::{HeapProfile, ProfilerStats};

use crate::baseline::{Baseline, LiveError, Process};
use crate::resident::{self, Resident};
use crate::scrapes::Scrapes;

/// Of sentences about what is wrong: one fault can make many.
const SENTENCES: usize = 10;

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) turns: u64,
    pub(crate) exact_turns: u64,
    pub(crate) operations: u64,
    pub(crate) blocks: i64,
    pub(crate) panics: u64,
    pub(crate) visitors: u64,
    pub(crate) children: u64,
    /// Then there are no fork children, and the resident memory has no bound.
    pub(crate) is_sanitized: bool,
    pub(crate) rate_changes: u64,
    pub(crate) scrapes: Scrapes,
    pub(crate) at_start: Process,
    at_end: Process,
    live_error: LiveError,
    /// Everything that is not as it should be; empty if nothing is.
    pub(crate) wrong: Vec<String>,
    end: Option<End>,
}

struct End {
    duration: Duration,
    samples: i64,
    resident: Resident,
    profiler: ProfilerStats,
}

impl Report {
    /// Compares the process with what it was.
    pub(crate) fn check(&mut self, baseline: &Baseline) {
        let turn = self.turns + 1;
        let (was, is) = (baseline.process(), baseline.process_when_quiet());
        if is != was {
            self.wrong.push(format!(
                "after turn {turn} there are {} threads and {} descriptors, before the first {} and {}",
                is.threads, is.descriptors, was.threads, was.descriptors
            ));
        }
        self.at_end = is;
        match baseline.live_error() {
            Ok(error) => {
                if error.entries > 0 {
                    let (size, objects) = error.worst;
                    self.wrong.push(format!(
                        "after turn {turn} {} objects of {} B are in use that were dropped (or the reverse), in {} \
                         entries; the worst has {objects} of {size} B",
                        error.objects, error.bytes, error.entries
                    ));
                }
                self.live_error = error;
            }
            Err(message) => self.wrong.push(message),
        }
    }

    /// Takes the last readings.
    pub(crate) fn finish(&mut self, duration: Duration, resident: Resident) {
        let grown = resident.slope() * resident.span();
        if grown > resident::BOUND_BYTES && !self.is_sanitized {
            self.wrong.push(format!(
                "the resident memory grew by {:.1} MiB in the second half, by its slope",
                mib(grown)
            ));
        }
        let profiler = debug_pprof::mem_stats().profiler;
        let dropped = [
            profiler.mixed_sizes,
            profiler.folded_bucket_limit,
            profiler.folded_live_limit,
            profiler.folded_no_memory,
            profiler.nested,
            profiler.stale,
        ];
        if dropped.iter().sum::<u64>() > 0 {
            self.wrong
                .push("samples were dropped, and nothing here is reason to".to_owned());
        }
        let idle = [
            (self.operations, "operations"),
            (self.panics, "panics caught"),
            (self.visitors, "threads that came and went"),
            (
                self.children + u64::from(self.is_sanitized),
                "fork children",
            ),
            (self.rate_changes, "rate changes"),
            (self.scrapes.answers, "scrapes"),
        ];
        for (_, what) in idle.iter().filter(|(count, _)| *count == 0) {
            self.wrong.push(format!("there were no {what}"));
        }
        let samples = HeapProfile::capture().map_or(0, |profile| {
            let records = profile.records().iter();
            records.map(|record| record.sampled().alloc_objects).sum()
        });
        self.end = Some(End {
            duration,
            samples,
            resident,
            profiler,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(end) = &self.end else {
            return Ok(());
        };
        let (resident, profiler) = (&end.resident, &end.profiler);
        let seconds = end.duration.as_secs_f64();
        let rows = [
            (
                "duration",
                format!(
                    "{seconds:.1} s in {} turns, {} of them exact",
                    self.turns, self.exact_turns
                ),
            ),
            (
                "operations",
                format!(
                    "{}, which allocated {} blocks",
                    self.operations, self.blocks
                ),
            ),
            ("samples", end.samples.to_string()),
            (
                "scrapes",
                format!(
                    "{}; the worst took {:.0} ms: {}",
                    self.scrapes.answers,
                    self.scrapes.worst.as_secs_f64() * 1e3,
                    self.scrapes.worst_route
                ),
            ),
            (
                "events",
                format!(
                    "{} rate changes, {} threads came and went, {} fork children, {} panics caught",
                    self.rate_changes, self.visitors, self.children, self.panics
                ),
            ),
            (
                "resident",
                format!(
                    "{:.1} MiB at start, {:.1} after warm-up, {:.1} at the end",
                    mib(resident.at_start as f64),
                    mib(resident.after_warm_up()),
                    mib(resident.at_end())
                ),
            ),
            (
                "slope",
                format!(
                    "{:+.2} MiB a minute over the last {:.0} s; bound {:.2}",
                    mib(resident.slope() * 60.0),
                    resident.span(),
                    mib(resident::BOUND_BYTES / resident.span() * 60.0)
                ),
            ),
            (
                "profiler",
                format!(
                    "{:.1} MiB of its own, {} buckets, {} live records, stacks of {} frames",
                    mib(profiler.memory_bytes as f64),
                    profiler.buckets,
                    profiler.live_records,
                    profiler.mean_depth
                ),
            ),
            (
                "live-count error",
                format!(
                    "{} objects, {} B, in {} entries",
                    self.live_error.objects, self.live_error.bytes, self.live_error.entries
                ),
            ),
            (
                "threads",
                format!(
                    "{} at start, {} at the end",
                    self.at_start.threads, self.at_end.threads
                ),
            ),
            (
                "descriptors",
                format!(
                    "{} at start, {} at the end",
                    self.at_start.descriptors, self.at_end.descriptors
                ),
            ),
            (
                "drops",
                format!(
                    "{} folded, {} without a size, {} nested, {} stale; {} stacks too deep, {} without an end",
                    profiler.folded_bucket_limit
                        + profiler.folded_live_limit
                        + profiler.folded_no_memory,
                    profiler.mixed_sizes,
                    profiler.nested,
                    profiler.stale,
                    profiler.truncated_stacks,
                    profiler.stopped_stacks
                ),
            ),
        ];
        for (name, value) in rows {
            writeln!(f, "  {name:<16}  {value}")?;
        }
        for wrong in self.wrong.iter().take(SENTENCES) {
            writeln!(f, "WRONG: {wrong}")?;
        }
        match self.wrong.len() {
            0 => writeln!(f, "nothing is wrong"),
            many => writeln!(f, "WRONG: {many} things in all"),
        }
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
