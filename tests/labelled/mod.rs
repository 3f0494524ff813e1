//! What profiles say of labels: records, and what is written of them.
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::collections::BTreeMap;

use debug_pprof::{HeapProfile, HeapRecord, HeapValues};

use crate::validator::proto::Profile;

/// As `age=<1m,tenant=a`, in the order of the keys; empty without labels.
pub(crate) fn text(labels: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> String {
    let parts: Vec<String> = labels
        .map(|(key, value)| format!("{}={}", key.as_ref(), value.as_ref()))
        .collect();
    parts.join(",")
}

/// The objects and bytes of this size in use, by their labels.
pub(crate) fn in_use(profile: &HeapProfile, size: usize) -> BTreeMap<String, (i64, i64)> {
    by_labels(profile, size, |values| {
        (values.inuse_objects, values.inuse_space)
    })
}

/// And allocated.
pub(crate) fn allocated(profile: &HeapProfile, size: usize) -> BTreeMap<String, (i64, i64)> {
    by_labels(profile, size, |values| {
        (values.alloc_objects, values.alloc_space)
    })
}

fn by_labels(
    profile: &HeapProfile,
    size: usize,
    of: fn(HeapValues) -> (i64, i64),
) -> BTreeMap<String, (i64, i64)> {
    let mut sums = BTreeMap::new();
    let is_of_size = |record: &&HeapRecord| record.size() == Some(size);
    for record in profile.records().iter().filter(is_of_size) {
        let (objects, bytes) = of(record.estimate());
        let sum: &mut (i64, i64) = sums.entry(text(record.labels())).or_default();
        *sum = (sum.0 + objects, sum.1 + bytes);
    }
    sums.retain(|_, sum| *sum != (0, 0));
    sums
}

/// The last value of each sample of this size in a written profile, by its text labels.
pub(crate) fn written(profile: &Profile, size: usize) -> BTreeMap<String, i64> {
    let string = |index: i64| profile.string_table[index as usize].as_str();
    let mut sums = BTreeMap::new();
    for sample in &profile.sample {
        let is_size = sample
            .label
            .iter()
            .any(|label| string(label.key) == "bytes" && label.num == size as i64);
        if is_size {
            let mut labels: Vec<_> = sample.label.iter().filter(|label| label.str != 0).collect();
            labels.sort_by_key(|label| string(label.key));
            let labels = labels
                .iter()
                .map(|label| (string(label.key), string(label.str)));
            *sums.entry(text(labels)).or_default() += sample.value.last().expect("four");
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}
