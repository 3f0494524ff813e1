//! A heap profile as a pprof message, in whichever form it is written.

use std::time::{Duration, SystemTime};

use super::ages;
use super::all_mappings;
use super::budget::{self, Kept};
use super::encoder::Encoder;
use super::frames::{Frames, Pseudo};
use super::heap::{DefaultSampleType, HeapProfile, HeapRecord, PprofView, Shape};
use super::mappings::Mappings;
use super::pieces::Pieces;
use super::profiler_stats::ProfilerStats;
use super::proto;
use super::sites::Site;
use super::tables::{Form, Tables};
use crate::record;

/// Go's sample types in Go's order. Tools open on the last unless the profile says otherwise.
pub(super) const SAMPLE_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// Those of what leaks. Identifiers, because services make series' names of them.
const LEAK_TYPES: [(&str, &str); 4] = [
    ("leak_objects", "count"),
    ("leak_space", "bytes"),
    ("leak_space_per_hour", "bytes"),
    ("old_space", "bytes"),
];

/// What the values of a profile's samples are.
pub(super) fn sample_types(shape: Shape) -> [(&'static str, &'static str); 4] {
    match shape {
        Shape::Heap => SAMPLE_TYPES,
        Shape::Leaks => LEAK_TYPES,
    }
}

/// In pieces.
pub(super) fn write(profile: &HeapProfile, view: PprofView) -> Pieces {
    let limits = record::limits();
    let mut kept = budget::keep(profile.records(), limits.profile_samples);
    let mut mappings = all_mappings();
    mappings.forget_unused(|mappings| {
        let sites = sites(kept.records.as_slice(), mappings);
        sites.map(|site| site.mapping).collect()
    });
    let frames = frames_of(kept.records.as_slice(), &mappings, view.symbolize);
    let form = if view.symbolize {
        Form::Symbolized(&frames)
    } else {
        Form::Raw
    };
    loop {
        // Without entries it is as small as it can be.
        let limit = match kept.records.as_slice().len() {
            0 => usize::MAX,
            _ => limits.profile_bytes,
        };
        let encoded = build(
            profile,
            &mut kept,
            Tables::new(&mappings, form, Encoder::new(limit, view.format)),
            &frames,
            view,
        );
        match encoded {
            Some(gzip) => return gzip,
            None => kept.fold_more(),
        }
    }
}

/// Resolves the frames of `records`, or nothing if names are not wanted.
pub(super) fn frames_of(records: &[&HeapRecord], mappings: &Mappings, symbolize: bool) -> Frames {
    Frames::resolve(sites(records, mappings), mappings, symbolize)
}

fn sites<'a>(
    records: &'a [&HeapRecord],
    mappings: &'a Mappings,
) -> impl Iterator<Item = Site> + 'a {
    let buckets = records.iter().filter_map(|record| record.bucket());
    buckets.flat_map(|bucket| Site::of_stack(bucket.frames(), mappings))
}

/// Folds the entries that there is no room for. None if what is written behind the entries went over the limit.
fn build(
    profile: &HeapProfile,
    kept: &mut Kept<'_>,
    mut tables: Tables<'_>,
    frames: &Frames,
    view: PprofView,
) -> Option<Pieces> {
    // First in the string table: one consumer renumbers the table without the default sample type.
    let sample_type = sample_types(profile.shape())
        .map(|named| tables.value_type(named))
        .to_vec();
    let period_type = tables.value_type(("space", "bytes"));
    let [bytes, age] = ["bytes", "age"].map(|key| tables.string(key));
    let of_type = if view.types { tables.string("type") } else { 0 };
    let mut written = 0;
    for record in kept.records.as_slice() {
        if tables.is_nearly_full() {
            break;
        }
        written += 1;
        let estimate = record.estimate();
        if estimate.is_zero() {
            continue;
        }
        let stack: Vec<Site> = match record.bucket() {
            Some(bucket) => Site::of_stack(bucket.frames(), tables.mappings()).collect(),
            None => Vec::new(),
        };
        let sample = proto::Sample {
            location_id: locations(record, &stack, &mut tables, frames),
            value: estimate.in_order().to_vec(),
            label: {
                let size = record.size().filter(|_| profile.shape() == Shape::Heap);
                let size = size.map(|size| bytes_label(bytes, size));
                let age = record
                    .age()
                    .map(|class| text_label(age, tables.string(class.label())));
                let found = view.types.then(|| frames.type_of(&stack)).flatten();
                let of_type = found.map(|found| text_label(of_type, tables.string(found)));
                let mut all: Vec<_> = size.into_iter().chain(age).chain(of_type).collect();
                // What leaks is said of a stack, whatever the labels.
                let own = (profile.shape() == Shape::Heap).then(|| record.labels());
                for (key, value) in own.into_iter().flatten() {
                    all.push(text_label(tables.string(key), tables.string(value)));
                }
                all
            },
        };
        tables.add_sample(sample);
    }
    if written < kept.records.as_slice().len() {
        kept.fold_from(written);
    }
    if let Some(folded) = kept.folded.filter(|folded| !folded.estimate().is_zero()) {
        let location = tables.pseudo(Pseudo::Truncated);
        let sample = proto::Sample {
            location_id: vec![location],
            value: folded.estimate().in_order().to_vec(),
            label: Vec::new(),
        };
        tables.add_sample(sample);
    }
    let rest = profile.rest().map(|rest| rest.samples);
    for (pseudo, bytes) in rest.into_iter().flatten().filter(|(_, bytes)| *bytes != 0) {
        let location = tables.pseudo(pseudo);
        tables.add_sample(proto::Sample {
            location_id: vec![location],
            value: vec![0, 0, 0, bytes],
            label: Vec::new(),
        });
    }
    let default_sample_type = match view.default_sample_type {
        DefaultSampleType::Unset => 0,
        DefaultSampleType::AllocSpace => tables.string("alloc_space"),
        DefaultSampleType::LeakSpace => tables.string("leak_space"),
    };
    let comment = comments(profile, kept, frames)
        .into_iter()
        .map(|comment| tables.string(&comment))
        .collect();
    let rest = proto::Profile {
        sample_type,
        period_type: Some(period_type),
        period: profile.sample_rate() as i64,
        time_nanos: nanos_since_epoch(profile.time()),
        duration_nanos: profile.duration().map_or(0, nanos),
        default_sample_type,
        comment,
        ..Default::default()
    };
    tables.finish(rest)
}

fn locations(
    record: &HeapRecord,
    stack: &[Site],
    tables: &mut Tables<'_>,
    frames: &Frames,
) -> Vec<u64> {
    let Some(bucket) = record.bucket() else {
        return vec![tables.pseudo(Pseudo::OverLimit)];
    };
    let visible = frames.visible(stack);
    let mut ids: Vec<u64> = visible
        .iter()
        .map(|frame| tables.location(*frame))
        .collect();
    if ids.is_empty() {
        ids.push(tables.pseudo(Pseudo::NoStack));
    }
    if bucket.is_truncated() {
        ids.push(tables.pseudo(Pseudo::StackTruncated));
    }
    ids
}

fn text_label(key: i64, text: i64) -> proto::Label {
    proto::Label {
        key,
        str: text,
        num: 0,
        num_unit: 0,
    }
}

fn bytes_label(key: i64, size: usize) -> proto::Label {
    proto::Label {
        key,
        str: 0,
        num: i64::try_from(size).unwrap_or(i64::MAX),
        num_unit: 0,
    }
}

/// What a reader should know. Lines that begin with `#` are kept in the file and left out of pprof's legend.
fn comments(profile: &HeapProfile, kept: &Kept<'_>, frames: &Frames) -> Vec<String> {
    let stats = ProfilerStats::read();
    let mut comments = vec![format!(
        "#debug-pprof {}: stacks by {}, {} frames deep on average, {} buckets, {} live records, {} bytes of its own memory",
        env!("CARGO_PKG_VERSION"),
        stats.unwinder,
        stats.mean_depth,
        stats.buckets,
        stats.live_records,
        stats.memory_bytes
    )];
    if profile.shape() == Shape::Heap {
        comments.push(format!(
            "#in-use {} bytes, standard error of sampling {:.0} bytes",
            profile.total().inuse_space,
            profile.inuse_space_error()
        ));
    }
    comments.extend_from_slice(profile.notes());
    if let Some(min_age) = profile.min_age() {
        comments.push(format!(
            "only what is in use and has lived for {} or longer; alloc_objects and alloc_space are of the same objects",
            ages::shown(min_age)
        ));
    }
    if let Some(rest) = profile.rest() {
        comments.push(format!(
            "#resident {} bytes: the total; entries in brackets are what is not in the samples",
            rest.resident
        ));
    }
    comments.extend(stats.losses());
    if kept.folded_records > 0 {
        comments.push(format!(
            "{} entries are folded into [truncated]: the profile's size limit; totals are kept",
            kept.folded_records
        ));
    }
    comments.extend(frames.resolved.loss());
    comments
}

pub(super) fn nanos_since_epoch(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(1, nanos)
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
