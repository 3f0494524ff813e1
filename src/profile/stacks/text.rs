//! A stack profile as people read it: Go's `debug=1` text, and its entries by name for other texts.

use std::fmt::Write;

#[cfg(feature = "http")]
use super::Entry;
use super::StackProfile;
use crate::profile::all_mappings;
use crate::profile::frames::Pseudo;
use crate::profile::pieces::Pieces;
use crate::profile::sites::Site;
#[cfg(feature = "http")]
use crate::profile::stack_names::{NamedFrame, named_frames};
use crate::profile::text;
use crate::profile::waits;
use crate::record::Suspended;

/// An entry by name.
#[cfg(feature = "http")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedEntry {
    /// The leaf first; what was inlined has frames of its own.
    pub(crate) frames: Vec<NamedFrame>,
    pub(crate) is_truncated: bool,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) values: [i64; 2],
}

impl StackProfile {
    /// Go's `debug=1` text.
    pub(crate) fn to_text(&self) -> Pieces {
        let _own = Suspended::new();
        let entries = self.ranked();
        let mappings = all_mappings();
        let frames = self.frames(&entries, &mappings, true);
        let mut pieces = Pieces::default();
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} profile: total {}", self.name, self.total());
        for entry in &entries {
            let _ = write!(out, "{} @", entry.values[0]);
            let stack: Vec<Site> = Site::of_stack(self.frames_of(entry), &mappings).collect();
            let labels: Vec<_> = self.labels_of(entry).collect();
            let hidden = match is_task(&labels) {
                true => waits::waiting(frames.are_waits(&stack)),
                false => 0,
            };
            text::stack_rows_from(
                &mut out,
                &stack,
                hidden,
                entry.is_truncated,
                &labels,
                &frames,
                &mappings,
            );
            pieces.add(out.as_bytes());
            out.clear();
        }
        if self.lost != [0; 2] {
            let _ = write!(out, "{} @", self.lost[0]);
            text::pseudo(&mut out, Pseudo::Truncated, &[]);
        }
        for note in self.notes.iter().cloned().chain(frames.resolved.loss()) {
            let _ = writeln!(out, "# {note}");
        }
        pieces.add(out.as_bytes());
        pieces
    }

    /// The entries by name, in the order of the text form.
    #[cfg(feature = "http")]
    pub(crate) fn named_entries(&self) -> Vec<NamedEntry> {
        let _own = Suspended::new();
        let entries = self.ranked();
        let mappings = all_mappings();
        let frames = self.frames(&entries, &mappings, true);
        let named = |entry: &Entry| NamedEntry {
            frames: Site::of_stack(self.frames_of(entry), &mappings)
                .flat_map(|site| named_frames(&frames, &mappings, site))
                .collect(),
            is_truncated: entry.is_truncated,
            labels: self
                .labels_of(entry)
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            values: entry.values,
        };
        entries.iter().map(named).collect()
    }
}

/// Whether an entry counts tasks: of how they wait its text says nothing.
fn is_task(labels: &[(&str, &str)]) -> bool {
    labels.iter().any(|(key, _)| *key == "task")
}
