//! Values, stacks and labels.

use std::collections::HashSet;

use super::limits::{MAX_DEPTH, MAX_SAMPLES};
use super::proto::{Profile, Sample};
use super::{Expect, Rule, Violations, string};

pub(super) fn check(profile: &Profile, expect: Expect, found: &mut Violations) {
    found.check(
        profile.sample.len() <= MAX_SAMPLES,
        Rule::SampleCount,
        format!("{} samples, more than {MAX_SAMPLES}", profile.sample.len()),
    );
    for (index, sample) in profile.sample.iter().enumerate() {
        values(profile, index, sample, expect, found);
        labels(profile, index, sample, expect, found);
        found.check(
            !sample.location_id.is_empty(),
            Rule::SampleHasStack,
            format!("sample {index}"),
        );
        found.check(
            sample.location_id.len() <= MAX_DEPTH,
            Rule::Depth,
            format!(
                "sample {index} has {} frames, more than {MAX_DEPTH}",
                sample.location_id.len()
            ),
        );
    }
}

fn values(
    profile: &Profile,
    index: usize,
    sample: &Sample,
    expect: Expect,
    found: &mut Violations,
) {
    let values = sample.value.as_slice();
    found.check(
        values.len() == profile.sample_type.len(),
        Rule::ValueCount,
        format!("sample {index} has {} values", values.len()),
    );
    if is_rest(profile, sample) && matches!(values, [0, 0, 0, _]) {
        return;
    }
    // A delta's in-use is growth, and so is what there is of anything else; allocation only ever grows.
    let never_negative = match values {
        [alloc_objects, alloc_space, ..] if expect.is_delta && expect.kind.is_memory() => {
            &[*alloc_objects, *alloc_space][..]
        }
        _ if expect.is_delta && expect.kind.is_of_what_exists() => &[],
        _ => values,
    };
    found.check(
        never_negative.iter().all(|&value| value >= 0),
        Rule::NoNegativeValue,
        format!("sample {index}: {values:?}"),
    );
    if expect.is_delta {
        found.check(
            values.iter().any(|&value| value != 0),
            Rule::NoZeroSampleInDelta,
            format!("sample {index}: {values:?}"),
        );
    } else if let (true, &[alloc_objects, alloc_space, inuse_objects, inuse_space]) =
        (expect.kind.is_memory(), values)
    {
        found.check(
            inuse_objects <= alloc_objects && inuse_space <= alloc_space,
            Rule::InuseWithinAlloc,
            format!("sample {index}: {values:?}"),
        );
    }
}

fn labels(
    profile: &Profile,
    index: usize,
    sample: &Sample,
    expect: Expect,
    found: &mut Violations,
) {
    let mut seen = HashSet::new();
    for label in &sample.label {
        found.check(
            label.key != 0,
            Rule::LabelKeyNotZero,
            format!("sample {index}"),
        );
        let key = string(profile, label.key);
        found.check(
            seen.insert(key),
            Rule::LabelKeyUnique,
            format!("{key:?} of sample {index}"),
        );
    }
    if !expect.kind.is_memory() || leaf_is_pseudo(profile, sample) {
        return;
    }
    let size = sample
        .label
        .iter()
        .find(|label| string(profile, label.key) == "bytes");
    if size.is_none() && says_that_sizes_are_mixed(profile) {
        return;
    }
    found.check(
        size.is_some_and(|label| label.num > 0 && label.str == 0),
        Rule::BytesLabel,
        format!("sample {index}: {size:?}"),
    );
}

fn says_that_sizes_are_mixed(profile: &Profile) -> bool {
    let mut comments = profile.comment.iter();
    comments.any(|&comment| string(profile, comment).contains("samples lack their object size"))
}

fn leaf_is_pseudo(profile: &Profile, sample: &Sample) -> bool {
    let leaf = sample
        .location_id
        .first()
        .and_then(|&id| usize::try_from(id).ok()?.checked_sub(1));
    leaf.and_then(|leaf| profile.location.get(leaf))
        .is_some_and(|location| location.mapping_id == 0)
}

/// Whether a sample is one of those that `heap?rss=1` adds: memory that was not allocated, or a difference.
fn is_rest(profile: &Profile, sample: &Sample) -> bool {
    const NAMES: [&str; 8] = [
        "[allocator: cached]",
        "[allocator: metadata]",
        "[thread stacks]",
        "[file-backed]",
        "[sampling error]",
        "[other anonymous]",
        "[profiler]",
        "[not resident]",
    ];
    let [id] = sample.location_id.as_slice() else {
        return false;
    };
    let location = profile.location.iter().find(|location| location.id == *id);
    let lines = location.into_iter().flat_map(|location| &location.line);
    let mut functions = lines.filter_map(|line| {
        let mut functions = profile.function.iter();
        functions.find(|function| function.id == line.function_id)
    });
    functions.any(|function| {
        let name = profile.string_table.get(function.name as usize);
        name.is_some_and(|name| NAMES.contains(&name.as_str()))
    })
}
