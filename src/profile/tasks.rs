//! Tasks by stack, among what runs, and those that leak.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use super::goroutines::{write_frames, write_truncated};
use super::names::Function;
use super::pieces::Pieces;
use super::stack_names::NamedFrame;
use super::stacks::StackProfile;
use super::waits;
use crate::labels;
use crate::record::Suspended;
use crate::task::{self, Snapshot, State, TaskView};

/// Tasks that `debug=2` lists one by one: some 10 MB.
const MOST_BLOCKS: usize = 10_000;

/// Adds every task, by stack, name and, where the stack is not known, why.
pub(super) fn add_tasks(profile: &mut StackProfile) {
    let snapshot = Snapshot::take();
    add(
        profile,
        &snapshot,
        snapshot.tasks().map(|task| (task, None)),
    );
    note(profile, &snapshot);
}

/// Tasks, each with a label more, or none.
fn add<'a>(
    profile: &mut StackProfile,
    snapshot: &'a Snapshot,
    tasks: impl Iterator<Item = (TaskView<'a>, Option<&'static str>)>,
) {
    let mut counts = HashMap::new();
    for (task, leak) in tasks {
        let state = task.missing.map(|missing| (task.state, missing));
        *counts
            .entry((task.place, task.name, task.labels, state, leak))
            .or_insert(0) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // Entries that are alike but for their labels stand in the same order each time.
    counts.sort_by_key(|((_, name, own, state, leak), _)| {
        (*name, *own, state.map(|(_, missing)| missing), *leak)
    });
    for ((place, name, own, state, leak), count) in counts {
        let (frames, is_truncated) = snapshot.frames(place);
        let mut labels = vec![("task", name)];
        labels.extend(state.into_iter().flat_map(|(state, missing): (State, _)| {
            [("state", state.name()), ("missing", missing)]
        }));
        labels.extend(leak.map(|leak| ("leak", leak)));
        for (key, value) in labels::of(own) {
            labels.push((key, value));
        }
        profile.add(&frames, is_truncated, [count, 0], &labels);
    }
}

fn note(profile: &mut StackProfile, snapshot: &Snapshot) {
    if snapshot.unasked > 0 {
        profile.note(format!(
            "{} tasks could not be asked where they wait within 2 s; ask again: those that have answered and have not been polled \
             since need not be asked again",
            snapshot.unasked
        ));
    }
    let untracked = task::untracked();
    if untracked > 0 {
        profile.note(format!(
            "{untracked} futures were not tracked, because {} were already",
            task::MAX_TASKS
        ));
    }
}

/// Tasks that wait in vain: nobody is left who could wake them, or they have not been polled for `min_age`.
pub(crate) fn leaked_tasks(min_age: Option<Duration>) -> StackProfile {
    let _own = Suspended::new();
    let mut profile = StackProfile::count("goroutineleak");
    super::unwind_tables::refresh_now();
    let snapshot = Snapshot::take();
    let leaked = snapshot
        .tasks()
        .filter_map(|task| Some((leak(&task, min_age)?, task)))
        .map(|(leak, task)| (task, Some(leak)));
    add(&mut profile, &snapshot, leaked);
    note(&mut profile, &snapshot);
    profile.note(format!(
        "leak=\"{LOST}\": {LOST_MEANS}{}",
        match min_age {
            Some(_) => format!(". leak=\"{IDLE}\": {IDLE_MEANS}"),
            None =>
                ". min_age=10m lists tasks too that have not been polled for as long".to_owned(),
        }
    ));
    profile
}

const LOST: &str = "no waker left";
const LOST_MEANS: &str = "a tracked task that waits and of whose waker no clone is left, so that nothing that it waits for can wake it; \
                          only what it is polled together with can, such as another arm of a select. A clone that is kept and never \
                          used is not seen";
const IDLE: &str = "not polled for min_age";
const IDLE_MEANS: &str =
    "it has a waker, and whether that will be used nobody can know: it may wait for what is rare";

fn leak(task: &TaskView<'_>, min_age: Option<Duration>) -> Option<&'static str> {
    let is_idle = min_age.is_some_and(|min_age| task.idle >= min_age);
    match task.state {
        State::Running => None,
        _ if task.is_lost => Some(LOST),
        _ if is_idle => Some(IDLE),
        _ => None,
    }
}

/// Each task with its name, state, age and stack.
pub(super) fn write_tasks(pieces: &mut Pieces) {
    let snapshot = Snapshot::take();
    write_blocks(pieces, &snapshot, snapshot.tasks());
}

/// The same of those that `leaked_tasks` counts.
pub(crate) fn leak_dump(min_age: Option<Duration>) -> Pieces {
    let _own = Suspended::new();
    super::unwind_tables::refresh_now();
    let mut pieces = Pieces::default();
    let snapshot = Snapshot::take();
    let leaked = snapshot
        .tasks()
        .filter(|task| leak(task, min_age).is_some());
    write_blocks(&mut pieces, &snapshot, leaked);
    pieces
}

fn write_blocks<'a>(
    pieces: &mut Pieces,
    snapshot: &Snapshot,
    tasks: impl Iterator<Item = TaskView<'a>>,
) {
    let mut tasks = tasks.peekable();
    let listed: Vec<TaskView<'_>> = tasks.by_ref().take(MOST_BLOCKS).collect();
    let mut stacks = StackProfile::count("goroutine");
    // The number of a place is its label, by which its names are found again.
    let mut places = HashMap::new();
    for task in &listed {
        let next = places.len();
        let number = *places.entry(task.place).or_insert(next);
        if number == next {
            let (frames, is_truncated) = snapshot.frames(task.place);
            stacks.add(
                &frames,
                is_truncated,
                [1, 0],
                &[("place", &number.to_string())],
            );
        }
    }
    let named = stacks.named_entries().into_iter();
    let named: HashMap<usize, _> = named
        .filter_map(|entry| Some((entry.labels.first()?.1.parse().ok()?, entry)))
        .collect();
    for task in &listed {
        let mut block = String::new();
        if !pieces.is_empty() {
            block.push('\n');
        }
        write_head(&mut block, task);
        let entry = places.get(&task.place).and_then(|place| named.get(place));
        if let Some(entry) = entry {
            write_frames(&mut block, from_what_is_waited_for(&entry.frames));
            write_truncated(&mut block, entry.is_truncated);
        }
        pieces.add(block.as_bytes());
    }
    let more = tasks.count();
    if more > 0 {
        pieces
            .add(format!("\n...{more} more tasks; debug=1 has them all, by stack...\n").as_bytes());
    }
}

/// The frames without those that are how it waits, but for the outermost of them, which says for what.
fn from_what_is_waited_for(frames: &[NamedFrame]) -> &[NamedFrame] {
    let is_wait = |frame: &NamedFrame| {
        let file = frame.place.rsplit_once(':').map_or("", |(file, _)| file);
        waits::is_wait(&Function {
            name: &frame.function,
            file,
        })
    };
    let waiting = waits::waiting(frames.iter().map(is_wait));
    let outermost = frames.get(waiting.saturating_sub(1));
    // One that clones the waker itself waits for what is its own.
    let says_nothing = outermost.is_some_and(|frame| frame.function.contains("core::task::wake::"));
    let hidden = match says_nothing {
        true => waiting,
        false => waiting.saturating_sub(1),
    };
    frames.get(hidden..).unwrap_or(frames)
}

/// Writing to a String cannot fail.
fn write_head(out: &mut String, task: &TaskView<'_>) {
    let idle = match task.idle.as_secs() / 60 {
        _ if task.state == State::Running => String::new(),
        0 => String::new(),
        1 => ", 1 minute".to_owned(),
        minutes => format!(", {minutes} minutes"),
    };
    let lost = match task.is_lost {
        true => ", no waker left",
        false => "",
    };
    let labels = match task.labels.is_none() {
        true => String::new(),
        false => format!(" {{{}}}", task.labels),
    };
    let _ = writeln!(
        out,
        "task {} {:?} [{}{idle}{lost}]{labels}:",
        task.id,
        task.name,
        task.state.name()
    );
    if let Some(missing) = task.missing {
        let _ = writeln!(out, "\tawait stack unavailable: {missing}");
    }
}
