//! Tasks of tokio that nobody tracks: each is one block of memory, made by a function of tokio's that makes nothing else, so the
//! heap's samples say how many are alive and who spawned them. Not where they wait.
//!
//! A stack counts if the first function on its leaf side that is not the allocation runtime's is one of [`MAKERS`]. Left out is what
//! tokio runs on threads of its own (`spawn_blocking`), which are shown as threads, and what is tracked: where the type in
//! the block is `Tracked<…>`, or, in builds that do not say the type, where `task::spawn` is on the stack. A tracked future
//! inside of one that is not counts as a task beside it.

use super::all_mappings;
use super::frames::Frames;
use super::heap::HeapRecord;
use super::sites::Site;
use super::stacks::{StackProfile, without_leaves};
use crate::stack::ReturnAddress;

/// What makes the block: `Cell::new`, or where that is inlined and no line table says so, its callers.
const MAKERS: [&str; 6] = [
    "tokio::runtime::task::core::Cell<",
    "tokio::runtime::task::raw::RawTask::new",
    "tokio::runtime::task::new_task",
    "tokio::runtime::task::unowned",
    "tokio::runtime::task::list::OwnedTasks<",
    "tokio::runtime::task::list::LocalOwnedTasks<",
];

/// Words from the leaf by which a stack is told: without optimization `tokio::spawn` is 24 calls away from the allocator.
const LEAF: usize = 32;

/// The type of futures that are tracked, and the functions that spawn such.
const TRACKED: &str = "debug_pprof::task::";

/// Adds what is estimated, as `source=heap-estimate`.
pub(super) fn add_estimates(profile: &mut StackProfile) {
    let records = HeapRecord::all().filter(|record| record.estimate().inuse_objects > 0);
    let records: Vec<_> = records
        .filter_map(|record| Some((record.bucket()?, record.estimate().inuse_objects)))
        .collect();
    if records.is_empty() {
        return;
    }
    let mappings = all_mappings();
    let leaf = |frames: &'static [ReturnAddress]| -> Vec<Site> {
        let leaf = frames.get(..LEAF).unwrap_or(frames);
        Site::of_stack(leaf, &mappings).collect()
    };
    let sites = records.iter().flat_map(|(bucket, _)| leaf(bucket.frames()));
    let frames = Frames::resolve(sites, &mappings, true);
    let mut is_any = false;
    for (bucket, count) in &records {
        let stack = leaf(bucket.frames());
        let visible = frames.visible(&stack);
        if !is_task(&frames, visible) {
            continue;
        }
        let of_type = frames.type_of(&stack);
        if is_tracked(&frames, of_type, visible) {
            continue;
        }
        let mut labels = vec![("source", "heap-estimate")];
        labels.extend(of_type.map(|of_type| ("type", of_type)));
        // From who spawned it: what of tokio's is in between says nothing. More than `LEAF` of it is left.
        let is_tokios = |site: &&Site| frames.are_waits(&[**site]).all(|is_wait| is_wait);
        let hidden = stack.iter().take_while(is_tokios).count();
        let rest = without_leaves(bucket.frames(), hidden);
        profile.add(&rest, bucket.is_truncated(), [*count, 0], &labels);
        is_any = true;
    }
    if is_any {
        profile.note(
            "source=heap-estimate: tokio's tasks that are not tracked, estimated from the samples of the memory that they take, by who \
             spawned them; too few to be sampled are missing. task::track says where each waits"
                .to_owned(),
        );
    }
}

fn is_task(frames: &Frames, visible: &[Site]) -> bool {
    let mut names = visible.iter().flat_map(|site| names(frames, *site));
    let is_made = names.next().is_some_and(is_maker);
    let is_blocking = |name: &str| name.contains("tokio::runtime::blocking::");
    is_made && !names.any(is_blocking)
}

fn is_maker(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    MAKERS.iter().any(|maker| name.starts_with(maker))
}

fn is_tracked(frames: &Frames, of_type: Option<&str>, visible: &[Site]) -> bool {
    match of_type {
        Some(of_type) => of_type.starts_with(TRACKED),
        None => visible
            .iter()
            .flat_map(|site| names(frames, *site))
            .any(|name| name.starts_with(TRACKED)),
    }
}

fn names(frames: &Frames, site: Site) -> impl Iterator<Item = &str> {
    let lines = frames.lines(site).iter();
    lines.filter_map(|line| Some(frames.resolved.names().function(line)?.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_tasks_is_told_from_what_else_tokio_makes() {
        for name in [
            "tokio::runtime::task::core::Cell<T,S>::new",
            "<tokio::runtime::task::core::Cell<T,S>>::new",
            "tokio::runtime::task::list::OwnedTasks<S>::bind",
        ] {
            assert!(is_maker(name), "{name}");
        }
        for name in [
            "tokio::runtime::blocking::pool::Spawner::spawn_thread",
            "tokio::sync::mpsc::chan::channel",
            "tokio::runtime::builder::Builder::build",
            "svc::tokio::runtime::task::core::Cell<T>::new",
        ] {
            assert!(!is_maker(name), "{name}");
        }
    }
}
