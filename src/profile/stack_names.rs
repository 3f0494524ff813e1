//! Stacks by name, for texts that people read.

use super::all_mappings;
use super::frames::Frames;
use super::mappings::Mappings;
use super::names::Line;
use super::sites::Site;
use crate::record::{Bucket, Suspended};

/// A function in a stack, inlined ones too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFrame {
    pub(crate) function: String,
    /// `file:line`; empty if unknown.
    pub(crate) place: String,
    /// From the start of the function that is compiled there, into which this one may be inlined; 0 if unknown.
    pub(crate) offset: usize,
}

/// A stack by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedStack {
    /// The visible ones, the leaf first.
    pub(crate) frames: Vec<NamedFrame>,
    /// What is stored in what it allocated, if its functions say so.
    pub(crate) of_type: Option<String>,
}

/// The stack of each bucket. Resolves names, as writing a profile does.
pub(crate) fn stack_names(buckets: &[&'static Bucket]) -> Vec<NamedStack> {
    let _own = Suspended::new();
    let mappings = all_mappings();
    let sites = buckets
        .iter()
        .flat_map(|bucket| Site::of_stack(bucket.frames(), &mappings));
    let frames = Frames::resolve(sites, &mappings, true);
    let stack = |bucket: &&'static Bucket| {
        let stack: Vec<Site> = Site::of_stack(bucket.frames(), &mappings).collect();
        let visible = frames.visible(&stack).iter();
        NamedStack {
            frames: visible
                .flat_map(|site| named_frames(&frames, &mappings, *site))
                .collect(),
            of_type: frames.type_of(&stack).map(str::to_owned),
        }
    };
    buckets.iter().map(stack).collect()
}

/// The functions at an address, the innermost first; a placeholder if it has no name.
pub(super) fn named_frames(frames: &Frames, mappings: &Mappings, site: Site) -> Vec<NamedFrame> {
    let lines = frames.lines(site);
    if lines.is_empty() {
        return vec![NamedFrame {
            function: mappings.placeholder(site),
            place: String::new(),
            offset: 0,
        }];
    }
    let offset = frames.offset(site);
    let name = |line: &Line| {
        let function = frames.resolved.names().function(line)?;
        Some(NamedFrame {
            function: function.name.to_owned(),
            place: match function.file {
                "" => String::new(),
                file => format!("{file}:{}", line.line),
            },
            offset,
        })
    };
    lines.iter().filter_map(name).collect()
}
