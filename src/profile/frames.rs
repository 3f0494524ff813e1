//! What is shown of a stack: its frames without the allocation runtime on the leaf side, and the pseudo frames that say
//! where something was left out.

use std::ops::Range;
use std::sync::Arc;

use super::PROFILES;
use super::mappings::{Mappings, function_start};
use super::names::Line;
use super::shims::Shims;
use super::sites::Site;
use super::symbolizer;
use super::symbols::Resolved;
use super::types;
use super::waits;

/// A frame that stands for something other than code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pseudo {
    /// Instead of a stack that could not be walked at all.
    NoStack,
    /// At the root of a stack that was deeper than the limit.
    StackTruncated,
    /// All samples that a limit on what is kept in memory folded together.
    OverLimit,
    /// All entries that the limit on a profile's size folded together.
    Truncated,
    /// Of a profile of all physical memory: see `rss.rs`. Free memory that the allocator holds.
    AllocatorCached,
    /// The allocator's own tables.
    AllocatorMetadata,
    ThreadStacks,
    /// Code, constants and mapped files.
    FileBacked,
    /// What is counted as in use, less what the samples say.
    SamplingError,
    /// What is left.
    OtherAnonymous,
    /// The profiler's own tables.
    Profiler,
    /// By how much what is in use is more than what is resident of it, below 0: blocks that were never touched, or swapped.
    NotResident,
}

impl Pseudo {
    pub(super) fn name(self) -> &'static str {
        match self {
            Pseudo::NoStack => "[no stack]",
            Pseudo::StackTruncated => "[stack truncated]",
            Pseudo::OverLimit => "[over limit]",
            Pseudo::Truncated => "[truncated]",
            Pseudo::AllocatorCached => "[allocator: cached]",
            Pseudo::AllocatorMetadata => "[allocator: metadata]",
            Pseudo::ThreadStacks => "[thread stacks]",
            Pseudo::FileBacked => "[file-backed]",
            Pseudo::SamplingError => "[sampling error]",
            Pseudo::OtherAnonymous => "[other anonymous]",
            Pseudo::Profiler => "[profiler]",
            Pseudo::NotResident => "[not resident]",
        }
    }

    /// An address of its own, because collectors tell stacks apart by address, where no user-space code lies.
    pub(super) fn address(self) -> u64 {
        let nth = match self {
            Pseudo::StackTruncated => 1,
            Pseudo::OverLimit => 2,
            Pseudo::Truncated => 3,
            Pseudo::NoStack => 4,
            Pseudo::AllocatorCached => 5,
            Pseudo::AllocatorMetadata => 6,
            Pseudo::ThreadStacks => 7,
            Pseudo::FileBacked => 8,
            Pseudo::OtherAnonymous => 9,
            Pseudo::Profiler => 10,
            Pseudo::NotResident => 11,
            Pseudo::SamplingError => 12,
        };
        0xffff_ffff_ffff_0000 + nth
    }
}

/// The names of a profile's frames, and what is hidden of them.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) resolved: Resolved,
    pub(super) shims: Arc<Shims>,
    /// Where code lies that stays as long as the process runs, the shims among it: only there may unwind data be looked at.
    pub(super) pinned: Vec<Range<usize>>,
    /// Whether the functions of Rust's library on the leaf side are shown: what a thread waits in is what is asked for, what
    /// it allocates in is not.
    pub(super) shows_runtime: bool,
}

impl Frames {
    /// With these names.
    pub(super) fn of(resolved: Resolved, mappings: &Mappings) -> Self {
        Self {
            resolved,
            shims: PROFILES.shims.get(),
            pinned: mappings.pinned().collect(),
            shows_runtime: false,
        }
    }

    /// With the names of `sites`, or without if none are wanted.
    pub(super) fn resolve(
        sites: impl Iterator<Item = Site>,
        mappings: &Mappings,
        symbolize: bool,
    ) -> Self {
        let resolved = match symbolize {
            true => PROFILES
                .symbols
                .resolve(sites, mappings, symbolizer::headroom),
            false => Resolved::default(),
        };
        Self::of(resolved, mappings)
    }

    /// The stack without the leading frames that belong to the allocation runtime; all of it if there is nothing else.
    pub(super) fn visible<'s>(&self, stack: &'s [Site]) -> &'s [Site] {
        if self.shows_runtime {
            return stack;
        }
        let first = stack
            .iter()
            .position(|frame| !self.is_hidden(*frame))
            .unwrap_or(0);
        stack.get(first..).unwrap_or(stack)
    }

    fn is_hidden(&self, frame: Site) -> bool {
        match self.resolved.lines(frame) {
            [] => self.is_pinned(frame) && self.shims.contains(frame.address),
            lines => lines.iter().all(|line| self.is_runtime(line)),
        }
    }

    /// The type that is stored in what the stack has allocated, if its functions say so.
    pub(super) fn type_of(&self, stack: &[Site]) -> Option<&str> {
        let names = self.resolved.names();
        let levels = stack.iter().flat_map(|site| {
            let lines = self.resolved.lines(*site);
            let is_in_runtime = lines.last().is_some_and(|line| names.is_runtime(line));
            let unnamed = lines.is_empty().then(|| types::Level {
                is_runtime: self.is_hidden(*site),
                is_outermost: true,
                is_innermost: true,
                is_in_runtime: true,
                said: None,
            });
            let named = lines
                .iter()
                .enumerate()
                .map(move |(nth, line)| types::Level {
                    is_runtime: names.is_runtime(line),
                    is_outermost: nth + 1 == lines.len(),
                    is_innermost: nth == 0,
                    is_in_runtime,
                    said: names.said(line),
                });
            named.chain(unnamed)
        });
        types::of_levels(levels)
    }

    /// Whether a frame's code stays as long as the process runs.
    pub(super) fn is_pinned(&self, frame: Site) -> bool {
        let call = frame.address.call();
        self.pinned.iter().any(|range| range.contains(&call))
    }

    /// How far a frame's call is from the start of its function; 0 if that is unknown. Of what may be gone by now its unwind
    /// data cannot be looked at.
    pub(super) fn offset(&self, frame: Site) -> usize {
        let start = self.is_pinned(frame).then(|| function_start(frame.address));
        let call = frame.address.call();
        start
            .flatten()
            .map_or(0, |start| call.saturating_sub(start))
    }

    /// Of each function in a stack, or each address without a name, whether it is how a task waits or allocates.
    pub(super) fn are_waits<'s>(&'s self, stack: &'s [Site]) -> impl Iterator<Item = bool> + 's {
        stack.iter().flat_map(|site| {
            let lines = self.resolved.lines(*site);
            let unnamed = lines.is_empty().then(|| self.is_hidden(*site));
            let is_wait = |line: &Line| {
                let function = self.resolved.names().function(line);
                self.is_runtime(line) || function.is_some_and(|function| waits::is_wait(&function))
            };
            lines.iter().map(is_wait).chain(unnamed)
        })
    }

    fn is_runtime(&self, line: &Line) -> bool {
        self.resolved.names().is_runtime(line)
    }

    /// The source lines of a frame, innermost first; empty if it has no name. Runtime functions that were inlined on
    /// the innermost side are left out if another function remains, in every stack alike: a location's lines depend on
    /// its address alone.
    pub(super) fn lines(&self, frame: Site) -> &[Line] {
        let lines = self.resolved.lines(frame);
        if self.shows_runtime {
            return lines;
        }
        let first = lines.iter().position(|line| !self.is_runtime(line));
        lines.get(first.unwrap_or(0)..).unwrap_or(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::ReturnAddress;

    fn site(address: usize) -> Site {
        Site::nowhere(ReturnAddress(address))
    }

    fn frames(named: &[(usize, &[&str])]) -> Frames {
        let named: Vec<_> = named
            .iter()
            .map(|(address, names)| (site(*address), *names))
            .collect();
        Frames {
            resolved: Resolved::of(&named),
            shims: Arc::new(Shims::find()),
            pinned: Vec::new(),
            shows_runtime: false,
        }
    }

    fn shown(frames: &Frames, stack: &[usize]) -> Vec<(usize, Vec<String>)> {
        let stack: Vec<_> = stack.iter().copied().map(site).collect();
        let names = |frame: &Site| {
            frames
                .lines(*frame)
                .iter()
                .filter_map(|line| frames.resolved.names().function(line))
                .map(|function| function.name.to_owned())
                .collect()
        };
        frames
            .visible(&stack)
            .iter()
            .map(|frame| (frame.address.0, names(frame)))
            .collect()
    }

    #[test]
    fn values_land_on_the_function_that_called_the_allocation_runtime() {
        let frames = frames(&[
            (1, &["__rustc::__rust_alloc"]),
            (2, &["alloc::alloc::alloc", "alloc::raw_vec::finish_grow"]),
            (
                3,
                &[
                    "alloc::vec::Vec<T>::push",
                    "svc::keep",
                    "core::ops::FnOnce::call_once",
                ],
            ),
            (4, &["alloc::boxed::Box<F>::call"]),
            (5, &["main"]),
        ]);
        let named = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(&frames, &[1, 2, 3, 4, 5, 6]),
            [
                (3, named(&["svc::keep", "core::ops::FnOnce::call_once"])),
                (4, named(&["alloc::boxed::Box<F>::call"])),
                (5, named(&["main"])),
                (6, vec![]),
            ]
        );
    }

    #[test]
    fn a_stack_of_nothing_but_runtime_is_shown_whole() {
        let frames = frames(&[
            (1, &["__rust_alloc"]),
            (2, &["alloc::raw_vec::finish_grow"]),
        ]);
        assert_eq!(shown(&frames, &[1, 2]).len(), 2);
        assert_eq!(shown(&frames, &[]).len(), 0);
    }
}
