//! A heap profile as Go's `debug=1` text: sampled counts, not scaled, which readers scale by the rate in the header.

use std::fmt::Write;
use std::ops::Add;
use std::time::Duration;

use super::ages;
use super::all_mappings;
use super::budget;
use super::frames::{Frames, Pseudo};
use super::heap::{HeapProfile, HeapRecord, HeapValues, Summary};
use super::mappings::Mappings;
use super::names::Line;
use super::pieces::Pieces;
use super::pprof::frames_of;
use super::profiler_stats::ProfilerStats;
use super::sites::Site;
use super::status::Status;
use crate::record;

/// In pieces. With `types` each entry says what is stored in what it allocated, where that is known.
pub(super) fn write(profile: &HeapProfile, types: bool) -> Pieces {
    // Read before the names are resolved, which takes memory.
    let summary = match profile.min_age() {
        None => profile.summary(),
        // The process's all the same, not those of a part of its heap.
        Some(_) => Summary::now(),
    };
    let (status, profiler) = (Status::read(), ProfilerStats::read());
    let mappings = all_mappings();
    let mut kept = budget::keep(profile.records(), record::limits().profile_samples);
    // Go's order: the largest last.
    kept.records
        .as_mut_slice()
        .sort_unstable_by_key(|record| record.sampled().inuse_space);
    let frames = frames_of(kept.records.as_slice(), &mappings, true);
    let mut pieces = Pieces::default();
    let mut out = String::new();
    let total = kept
        .records
        .as_slice()
        .iter()
        .map(|record| record.sampled());
    let total = total
        .chain(kept.folded.map(|folded| folded.sampled()))
        .fold(HeapValues::default(), Add::add);
    // Readers take a line without its second pair for an older format, and equal sums for a missing pair.
    let alloc_space = total
        .alloc_space
        .saturating_add((total.alloc_space == total.inuse_space).into());
    // Twice the rate, by convention since the C++ profiler.
    let _ = writeln!(
        out,
        "heap profile: {}: {} [{}: {alloc_space}] @ heap/{}",
        total.inuse_objects,
        total.inuse_space,
        total.alloc_objects,
        2 * profile.sample_rate()
    );
    if let Some(folded) = &kept.folded {
        values(&mut out, folded);
        pseudo(&mut out, Pseudo::Truncated, &[]);
    }
    for record in kept.records.as_slice() {
        values(&mut out, record);
        stack(&mut out, record, &frames, &mappings, types);
        pieces.add(out.as_bytes());
        out.clear();
    }
    tail(&mut out, &summary, &status, &profiler, profile.min_age());
    for note in profile.notes() {
        let _ = writeln!(out, "# {note}");
    }
    if let Some(loss) = frames.resolved.loss() {
        let _ = writeln!(out, "# {loss}");
    }
    pieces.add(out.as_bytes());
    pieces
}

/// In use and allocated, as sampled.
fn values(out: &mut String, record: &HeapRecord) {
    let HeapValues {
        alloc_objects,
        alloc_space,
        inuse_objects,
        inuse_space,
    } = record.sampled();
    let _ = write!(
        out,
        "{inuse_objects}: {inuse_space} [{alloc_objects}: {alloc_space}] @"
    );
}

/// The one frame of an entry that has no stack.
pub(super) fn pseudo(out: &mut String, pseudo: Pseudo, labels: &[(&str, &str)]) {
    let _ = writeln!(out, " {:#x}", pseudo.address());
    label_row(out, labels);
    let _ = writeln!(out, "#\t{:#x}\t{}\n", pseudo.address(), pseudo.name());
}

/// In the order of their keys.
fn labels<'a>(record: &HeapRecord, of_type: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let age = record.age().map(|class| ("age", class.label()));
    let of_type = of_type.map(|of_type| ("type", of_type));
    let mut labels: Vec<(&str, &str)> = record.labels().collect();
    labels.extend(age.into_iter().chain(of_type));
    labels.sort_unstable();
    labels
}

/// The labels of an entry, as Go writes those of goroutines.
fn label_row(out: &mut String, labels: &[(&str, &str)]) {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key:?}:{value:?}"))
        .collect();
    if !labels.is_empty() {
        let _ = writeln!(out, "# labels: {{{}}}", labels.join(", "));
    }
}

fn stack(out: &mut String, record: &HeapRecord, frames: &Frames, mappings: &Mappings, types: bool) {
    let Some(bucket) = record.bucket() else {
        return pseudo(out, Pseudo::OverLimit, &labels(record, None));
    };
    let stack: Vec<Site> = Site::of_stack(bucket.frames(), mappings).collect();
    let of_type = types.then(|| frames.type_of(&stack)).flatten();
    let labels = labels(record, of_type);
    stack_rows(
        out,
        &stack,
        bucket.is_truncated(),
        &labels,
        frames,
        mappings,
    );
}

/// The addresses of a stack, its labels and its frames by name.
pub(super) fn stack_rows(
    out: &mut String,
    stack: &[Site],
    is_truncated: bool,
    labels: &[(&str, &str)],
    frames: &Frames,
    mappings: &Mappings,
) {
    stack_rows_from(out, stack, 0, is_truncated, labels, frames, mappings);
}

/// The same without the first so many names.
pub(super) fn stack_rows_from(
    out: &mut String,
    stack: &[Site],
    hidden_rows: usize,
    is_truncated: bool,
    labels: &[(&str, &str)],
    frames: &Frames,
    mappings: &Mappings,
) {
    if stack.is_empty() {
        return pseudo(out, Pseudo::NoStack, labels);
    }
    for site in stack {
        let _ = write!(out, " {:#x}", site.address.0);
    }
    out.push('\n');
    label_row(out, labels);
    let rows: Vec<[String; 4]> = frames
        .visible(stack)
        .iter()
        .flat_map(|site| rows(*site, frames, mappings))
        .collect();
    let hidden = hidden_rows.min(rows.len());
    align(out, rows.get(hidden..).unwrap_or_default());
    if is_truncated {
        let _ = writeln!(
            out,
            "#\t{:#x}\t{}",
            Pseudo::StackTruncated.address(),
            Pseudo::StackTruncated.name()
        );
    }
    out.push('\n');
}

/// One row for each function at an address: `#`, call address, `name+offset`, `file:line`.
fn rows(site: Site, frames: &Frames, mappings: &Mappings) -> Vec<[String; 4]> {
    let call = site.address.call();
    let row = |name: String, place: String| ["#".to_owned(), format!("{call:#x}"), name, place];
    let lines = frames.lines(site);
    if lines.is_empty() {
        return vec![row(mappings.placeholder(site), String::new())];
    }
    let offset = frames.offset(site);
    let named = |line: &Line| {
        let function = frames.resolved.names().function(line)?;
        let place = if function.file.is_empty() {
            String::new()
        } else {
            format!("{}:{}", function.file, line.line)
        };
        Some(row(format!("{}+{offset:#x}", function.name), place))
    };
    lines.iter().filter_map(named).collect()
}

/// Writes rows in columns as Go's tabwriter does: each as wide as its widest cell and one, up to a multiple of 8, filled
/// with tabs.
fn align(out: &mut String, rows: &[[String; 4]]) {
    const TAB: usize = 8;
    let width = |column: usize| {
        let widest = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max();
        (widest.unwrap_or(0) + 1).next_multiple_of(TAB)
    };
    let widths = [width(0), width(1), width(2)];
    for [first @ .., last] in rows {
        for (cell, width) in first.iter().zip(widths) {
            out.push_str(cell);
            let tabs = width.saturating_sub(cell.chars().count()).div_ceil(TAB);
            out.extend(std::iter::repeat_n('\t', tabs));
        }
        out.push_str(last);
        // A row without a place ends with its name.
        out.truncate(out.trim_end_matches('\t').len());
        out.push('\n');
    }
}

/// Go's keys, those whose counterpart is known.
fn tail(
    out: &mut String,
    summary: &Summary,
    status: &Status,
    profiler: &ProfilerStats,
    min_age: Option<Duration>,
) {
    let HeapValues {
        alloc_objects,
        alloc_space,
        inuse_objects,
        inuse_space,
    } = summary.total;
    let known = |value: Option<u64>| value.map(|value| value.to_string());
    let rows = [
        ("Alloc", Some(inuse_space.to_string())),
        ("TotalAlloc", Some(alloc_space.to_string())),
        ("Sys", known(status.virtual_bytes)),
        ("Mallocs", Some(alloc_objects.to_string())),
        (
            "Frees",
            Some(alloc_objects.saturating_sub(inuse_objects).to_string()),
        ),
        ("HeapAlloc", Some(inuse_space.to_string())),
        ("HeapObjects", Some(inuse_objects.to_string())),
        ("BuckHashSys", Some(profiler.memory_bytes.to_string())),
        ("RSS", known(status.resident_bytes)),
        ("MaxRSS", known(status.peak_resident_bytes)),
    ];
    out.push_str("\n# runtime.MemStats\n");
    for (key, value) in rows {
        if let Some(value) = value {
            let _ = writeln!(out, "# {key} = {value}");
        }
    }
    let _ = writeln!(
        out,
        "# Alloc, TotalAlloc, Mallocs, Frees and Heap* are estimates; one standard error of Alloc is {:.0} bytes",
        summary.inuse_space_error
    );
    if let Some(min_age) = min_age {
        let _ = writeln!(
            out,
            "# the stacks above are only of what is in use and has lived for {} or longer; these figures are of all",
            ages::shown(min_age)
        );
    }
    for loss in profiler.losses() {
        let _ = writeln!(out, "# {loss}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_with_tabs_as_go_does() {
        let row = |name: &str| {
            [
                "#".into(),
                "0x68388b".into(),
                name.into(),
                "main.go:1".into(),
            ]
        };
        let mut out = String::new();
        align(
            &mut out,
            &[
                row("main.tiny+0x8b"),
                row("main.main+0x147"),
                row("runtime.main+0x426"),
            ],
        );
        // From Go 1.27's own output.
        assert_eq!(
            out,
            "#\t0x68388b\tmain.tiny+0x8b\t\tmain.go:1\n\
             #\t0x68388b\tmain.main+0x147\t\tmain.go:1\n\
             #\t0x68388b\truntime.main+0x426\tmain.go:1\n"
        );
    }
}
