//! Which functions, and which functions inlined into them, hold the wanted addresses: one walk over a unit's entries.

use std::iter;
use std::ops::Range;

use gimli::{AttributeValue, EntriesRaw, UnitOffset, UnitRef};

use super::effort::Effort;
use super::lines::Place;
use super::ranges::{CodeRanges, Wanted, within};
use super::sections::Bytes;
use crate::pages::PageVec;

/// Functions inlined into one another at one address. 40 were seen; more is taken for damage.
const MOST_INLINED: u32 = 256;

/// A function that an address lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// Its entry in the unit.
    pub(super) entry: UnitOffset,
    /// Where it was called, if it was inlined into the level before.
    pub(super) call: Option<Place>,
}

/// The levels of many addresses. In pages of their own: as a vector for each address they left the program's heap full of
/// holes.
pub(super) struct Levels {
    /// One past the innermost level of each address in `nodes`; 0 if it has none.
    innermost: PageVec<u32>,
    nodes: PageVec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    level: Level,
    /// One past the level around it in `nodes`; 0 if this is the outermost.
    outer: u32,
    /// Levels up to this one.
    count: u32,
}

impl Levels {
    fn new(addresses: usize) -> Self {
        Self {
            innermost: PageVec::collect(iter::repeat_n(0, addresses)),
            nodes: PageVec::new(),
        }
    }

    fn last(&self, address: usize) -> Option<&Node> {
        let last = *self.innermost.as_slice().get(address)?;
        self.node(last)
    }

    fn node(&self, after: u32) -> Option<&Node> {
        self.nodes.as_slice().get((after as usize).checked_sub(1)?)
    }

    /// False if it is one too many.
    fn push(&mut self, address: usize, level: Level) -> bool {
        let count = self.last(address).map_or(0, |last| last.count) + 1;
        let Some(innermost) = self.innermost.as_mut_slice().get_mut(address) else {
            return false;
        };
        let node = Node {
            level,
            outer: *innermost,
            count,
        };
        if count > MOST_INLINED || !self.nodes.push(node) {
            return false;
        }
        *innermost = self.nodes.as_slice().len() as u32;
        true
    }

    /// Those of an address, innermost first.
    pub(super) fn of(&self, address: usize) -> impl Iterator<Item = &Level> {
        let outer = |node: &&Node| self.node(node.outer);
        iter::successors(self.last(address), outer).map(|node| &node.level)
    }
}

/// The levels of each of `wanted`, in its order; none where no function is known.
///
/// ```text
/// subprogram            level 0 of the addresses in its ranges that have no level yet
///   lexical block       passed through
///     inlined           level 1 of those in its ranges whose last level is the subprogram
///       inlined         level 2 of those whose last level is the inlined one
/// ```
pub(super) fn levels(
    unit: UnitRef<'_, Bytes<'_>>,
    wanted: &[Wanted],
    code: &[Range<u64>],
    effort: &mut Effort,
) -> Levels {
    let mut walk = Walk {
        unit,
        wanted,
        code,
        levels: Levels::new(wanted.len()),
        scopes: Vec::new(),
    };
    // An error ends the walk: what was found before it stands.
    let _ = walk.run(effort);
    walk.levels
}

struct Walk<'a, 'd> {
    unit: UnitRef<'a, Bytes<'d>>,
    wanted: &'a [Wanted],
    code: &'a [Range<u64>],
    levels: Levels,
    /// The functions around the present entry.
    scopes: Vec<Scope>,
}

/// A function whose children are being walked.
struct Scope {
    depth: isize,
    entry: UnitOffset,
    /// Whether a wanted address lies in it.
    is_wanted: bool,
}

impl Walk<'_, '_> {
    fn run(&mut self, effort: &mut Effort) -> gimli::Result<()> {
        let unit = self.unit;
        let mut entries = unit.entries_raw(None)?;
        let mut left = self.wanted.len();
        while !entries.is_empty() && effort.step() {
            let (entry, depth) = (entries.next_offset(), entries.next_depth());
            while self.scopes.last().is_some_and(|scope| scope.depth >= depth) {
                self.scopes.pop();
            }
            if left == 0 && self.scopes.is_empty() {
                return Ok(());
            }
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let inside = match abbreviation.tag() {
                gimli::DW_TAG_subprogram => None,
                gimli::DW_TAG_inlined_subroutine => {
                    match self.scopes.last().filter(|scope| scope.is_wanted) {
                        Some(scope) => Some(scope.entry),
                        None => {
                            entries.skip_attributes(abbreviation.attributes())?;
                            continue;
                        }
                    }
                }
                _ => {
                    entries.skip_attributes(abbreviation.attributes())?;
                    continue;
                }
            };
            let (ranges, call) = attributes(unit, &mut entries, abbreviation)?;
            let level = Level {
                entry,
                call: inside.map(|_| call),
            };
            let hits = self.enter(&ranges, inside, level, effort);
            if inside.is_none() {
                left = left.saturating_sub(hits);
            }
            self.scopes.push(Scope {
                depth,
                entry,
                is_wanted: hits > 0,
            });
        }
        Ok(())
    }

    /// Adds `level` to the addresses in `ranges` that are `inside` the function around it; returns how many those are.
    fn enter(
        &mut self,
        ranges: &CodeRanges,
        inside: Option<UnitOffset>,
        level: Level,
        effort: &mut Effort,
    ) -> usize {
        let (wanted, levels) = (self.wanted, &mut self.levels);
        let mut hits = 0;
        ranges.for_each(self.unit, self.code, effort, |range| {
            for nth in within(wanted, &range) {
                // Of two that claim an address, the first has it.
                let around = levels.last(nth).map(|last| last.level.entry);
                hits += usize::from(around == inside && levels.push(nth, level));
            }
        });
        hits
    }
}

fn attributes<'d>(
    unit: UnitRef<'_, Bytes<'d>>,
    entries: &mut EntriesRaw<'_, Bytes<'d>>,
    abbreviation: &gimli::Abbreviation,
) -> gimli::Result<(CodeRanges, Place)> {
    let mut ranges = CodeRanges::default();
    // In DWARF 5 the first file has index 0, before that index 0 is no file; `file` knows either.
    let mut call = Place {
        file: u64::MAX,
        line: 0,
    };
    for specification in abbreviation.attributes() {
        let attribute = entries.read_attribute(*specification)?;
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_call_file, AttributeValue::FileIndex(file)) => call.file = file,
            (gimli::DW_AT_call_line, _) => {
                call.line = attribute.udata_value().unwrap_or(0) as u32;
            }
            _ => ranges.note(unit, &attribute),
        }
    }
    Ok((ranges, call))
}
