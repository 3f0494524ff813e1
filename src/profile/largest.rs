//! The stacks that hold the most, without sorting all of them, and their names from what costs little memory.

use super::PROFILES;
use super::frames::Frames;
use super::heap::HeapRecord;
use super::mappings::Mappings;
use super::sites::Site;
use crate::record::Bucket;

/// Entries that are looked at: a stack has one for each size of its objects, so more than the stacks that are wanted.
const ENTRIES: usize = 64;

/// Functions that are named of a stack, from the one that allocates.
const FUNCTIONS: usize = 3;

/// Characters of a name. Generic arguments may be thousands.
const NAME: usize = 96;

/// The entries with the most in use, the largest first.
#[derive(Debug)]
pub(crate) struct Largest([Option<HeapRecord>; ENTRIES]);

impl Largest {
    pub(super) const fn new() -> Self {
        Self([None; ENTRIES])
    }

    pub(super) fn add(&mut self, record: HeapRecord) {
        let bytes = record.estimate().inuse_space;
        let is_less = |other: &Option<HeapRecord>| {
            other.is_none_or(|other| other.estimate().inuse_space < bytes)
        };
        if bytes > 0 && self.0.last().is_some_and(is_less) {
            let at = self.0.partition_point(|other| !is_less(other));
            if let Some(behind) = self.0.get_mut(at..) {
                behind.rotate_right(1);
            }
            if let Some(slot) = self.0.get_mut(at) {
                *slot = Some(record);
            }
        }
    }

    /// `12.3 MiB svc::cache::insert < svc::handle` of so many stacks.
    pub(super) fn describe(&self, mappings: &Mappings, stacks: usize) -> Vec<String> {
        let mut held: Vec<(Option<&'static Bucket>, i64)> = Vec::with_capacity(ENTRIES);
        for record in self.0.iter().flatten() {
            let (bucket, bytes) = (record.bucket(), record.estimate().inuse_space);
            let is_same = |(other, _): &&mut (Option<&'static Bucket>, i64)| {
                other.map(Bucket::frames) == bucket.map(Bucket::frames)
            };
            match held.iter_mut().find(is_same) {
                Some((_, sum)) => *sum = sum.saturating_add(bytes),
                None => held.push((bucket, bytes)),
            }
        }
        held.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        held.truncate(stacks);
        let of =
            |bucket: &Bucket| -> Vec<Site> { Site::of_stack(bucket.frames(), mappings).collect() };
        let sites: Vec<Vec<Site>> = held
            .iter()
            .map(|(bucket, _)| bucket.map(of).unwrap_or_default())
            .collect();
        let wanted = sites.iter().flatten().copied();
        // The symbol table takes no memory, where debug information takes megabytes.
        let frames = Frames::of(PROFILES.symbols.resolve(wanted, mappings, || 0), mappings);
        let described = held.iter().zip(&sites);
        described
            .map(|((_, bytes), stack)| {
                format!("{} {}", mib(*bytes), names(stack, &frames, mappings))
            })
            .collect()
    }
}

/// Functions of a stack, the one that allocates first; what the standard library has between them is left out.
fn names(stack: &[Site], frames: &Frames, mappings: &Mappings) -> String {
    let mut named: Vec<String> = Vec::new();
    for site in frames.visible(stack) {
        let function = frames
            .lines(*site)
            .first()
            .and_then(|line| frames.resolved.names().function(line));
        let name = match function {
            Some(function) if !named.is_empty() && is_of_std(function.name) => continue,
            Some(function) => short(function.name),
            None => mappings.placeholder(*site),
        };
        named.push(name);
        if named.len() == FUNCTIONS {
            break;
        }
    }
    match named.is_empty() {
        true => "[no stack]".to_owned(),
        false => named.join(" < "),
    }
}

fn is_of_std(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '&']);
    [
        "std::", "core::", "alloc::", "__rust", "_start", "__libc", "test::",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// In one line, of a length that can be read.
fn short(name: &str) -> String {
    let is_long = name.chars().count() > NAME;
    let name = name.chars().filter(|c| !c.is_control()).take(NAME);
    let mut name: String = name.collect();
    if is_long {
        name.push('…');
    }
    name
}

/// As a person reads it.
pub(crate) fn mib(bytes: i64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
