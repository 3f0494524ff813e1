//! What runs, by stack: Go's goroutine and threadcreate profiles, of threads.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use super::pieces::Pieces;
use super::stack_names::NamedFrame;
use super::stacks::StackProfile;
use super::task_estimates;
use super::tasks;
use super::thread_starts::is_start;
use super::unwind_tables;
use crate::labels;
use crate::record::Suspended;
use crate::signal::{self, ThreadStack};

/// Every thread and every task, by stack and name.
pub(crate) fn goroutines() -> StackProfile {
    let _own = Suspended::new();
    let mut profile = StackProfile::count("goroutine");
    for thread in threads() {
        let labels = labels_of(&thread);
        profile.add(&thread.frames, thread.is_truncated, [1, 0], &labels);
    }
    tasks::add_tasks(&mut profile);
    task_estimates::add_estimates(&mut profile);
    profile
}

/// Every thread, by what it was started to run: see `StackProfile::thread_starts`.
pub(crate) fn thread_creations() -> StackProfile {
    let _own = Suspended::new();
    let mut profile = StackProfile::count("threadcreate");
    for thread in threads() {
        profile.add(&thread.frames, thread.is_truncated, [1, 0], &[]);
    }
    profile.thread_starts(is_start)
}

fn threads() -> Vec<ThreadStack> {
    unwind_tables::refresh_now();
    signal::threads()
}

/// What tells a thread from others with its stack. Without a stack, what it does and why that is all.
fn labels_of(thread: &ThreadStack) -> Vec<(&str, &str)> {
    let mut labels = Vec::new();
    if !thread.name.is_empty() {
        labels.push(("thread", thread.name.as_str()));
    }
    if let Some(reason) = &thread.missing {
        labels.extend([("state", thread.doing.as_str()), ("missing", reason)]);
    }
    for (key, value) in labels::of(thread.labels) {
        labels.push((key, value));
    }
    labels
}

/// Each thread and each task with its name, state, age and stack, as Go's `debug=2` has goroutines.
pub(crate) fn goroutine_dump() -> Pieces {
    let _own = Suspended::new();
    let threads = threads();
    let mut stacks = StackProfile::count("goroutine");
    for thread in &threads {
        let label = ("tid", &*thread.tid.to_string());
        stacks.add(&thread.frames, thread.is_truncated, [1, 0], &[label]);
    }
    let named = stacks.named_entries().into_iter();
    let named: HashMap<String, Vec<NamedFrame>> = named
        .filter_map(|entry| Some((entry.labels.into_iter().next()?.1, entry.frames)))
        .collect();
    let mut pieces = Pieces::default();
    for (nth, thread) in threads.iter().enumerate() {
        let frames = named.get(&thread.tid.to_string());
        let mut block = String::new();
        if nth > 0 {
            block.push('\n');
        }
        write_block(&mut block, thread, frames.map_or(&[], Vec::as_slice));
        pieces.add(block.as_bytes());
    }
    tasks::write_tasks(&mut pieces);
    pieces
}

/// Writing to a String cannot fail.
fn write_block(out: &mut String, thread: &ThreadStack, frames: &[NamedFrame]) {
    let age = thread.age.map(age).unwrap_or_default();
    let _ = writeln!(
        out,
        "thread {} {:?} [{}{age}]:",
        thread.tid, thread.name, thread.doing
    );
    if let Some(reason) = &thread.missing {
        let _ = writeln!(out, "\tstack unavailable: {reason}");
    }
    write_frames(out, frames);
    write_truncated(out, thread.is_truncated);
}

pub(super) fn write_frames(out: &mut String, frames: &[NamedFrame]) {
    for frame in frames {
        let place = match frame.place.as_str() {
            "" => "?:0",
            place => place,
        };
        let _ = writeln!(
            out,
            "{}(...)\n\t{place} +{:#x}",
            frame.function, frame.offset
        );
    }
}

pub(super) fn write_truncated(out: &mut String, is_truncated: bool) {
    if is_truncated {
        out.push_str("...additional frames elided...\n");
    }
}

/// Go's way to say how long, which begins at a minute; and since it is not how long it waits, so.
fn age(age: Duration) -> String {
    let (amount, unit) = match age.as_secs() {
        seconds @ ..60 => (seconds, "second"),
        seconds => (seconds / 60, "minute"),
    };
    let plural = if amount == 1 { "" } else { "s" };
    format!(", {amount} {unit}{plural} old")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LabelSet;
    use crate::stack::ReturnAddress;

    fn thread() -> ThreadStack {
        ThreadStack {
            tid: 17,
            name: "tokio-rt-\"worker".into(),
            doing: "futex wait".into(),
            age: Some(Duration::from_secs(725)),
            is_asking: false,
            frames: vec![ReturnAddress(0x10_0001)],
            is_truncated: true,
            labels: LabelSet::NONE,
            missing: None,
        }
    }

    fn block(thread: &ThreadStack, frames: &[NamedFrame]) -> String {
        let mut block = String::new();
        write_block(&mut block, thread, frames);
        block
    }

    #[test]
    fn a_block_looks_as_gos_does() {
        let frame = |function: &str, place: &str| NamedFrame {
            function: function.into(),
            place: place.into(),
            offset: 0x24,
        };
        let frames = [frame("svc::recv", "src/main.rs:7"), frame("main+0x1", "")];
        assert_eq!(
            block(&thread(), &frames),
            "thread 17 \"tokio-rt-\\\"worker\" [futex wait, 12 minutes old]:\n\
             svc::recv(...)\n\tsrc/main.rs:7 +0x24\n\
             main+0x1(...)\n\t?:0 +0x24\n\
             ...additional frames elided...\n"
        );
        assert_eq!(labels_of(&thread()), [("thread", "tokio-rt-\"worker")]);
    }

    #[test]
    fn without_a_stack_it_says_why() {
        let thread = ThreadStack {
            age: Some(Duration::from_secs(1)),
            missing: Some("it blocks signal 64".into()),
            is_truncated: false,
            ..thread()
        };
        assert_eq!(
            block(&thread, &[]),
            "thread 17 \"tokio-rt-\\\"worker\" [futex wait, 1 second old]:\n\
             \tstack unavailable: it blocks signal 64\n"
        );
        assert_eq!(
            labels_of(&thread)[1..],
            [("state", "futex wait"), ("missing", "it blocks signal 64")]
        );
    }
}
