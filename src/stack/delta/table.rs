//! A stack-delta table: for every address of an object's text, how to get from there to the caller.
//!
//! ```text
//! blocks   one for each 4 KiB of text: index of its first row
//! rows     sorted; 12 bits of offset in the block, 20 bits of rule; a row holds up to the next one
//! wide     the few frames that a rule's bits cannot hold
//! ```

use super::rule::{Frame, Rule, Step};

/// Bytes of text in a block. At twice the size an offset takes a bit more of the row; at half there are twice as many
/// blocks, and a search saves one step of seven.
pub(super) const BLOCK: usize = 1 << (u32::BITS - Rule::BITS);

/// The rules of one object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    /// One more than there are blocks: the last is the number of rows.
    pub(super) blocks: &'a [u32],
    pub(super) rows: &'a [u32],
    pub(super) wide: &'a [Frame],
}

/// A row: a rule and the offset in its block that it holds from.
pub(super) fn row(offset: usize, rule: Rule) -> u32 {
    ((offset % BLOCK) as u32) << Rule::BITS | rule.bits()
}

impl Table<'_> {
    /// The rule for the code at `offset` bytes from the start of the table's text.
    pub(super) fn rule(&self, offset: usize) -> Rule {
        let block = offset / BLOCK;
        let bounds = self.blocks.get(block).zip(self.blocks.get(block + 1));
        let Some((first, end)) = bounds.map(|(first, end)| (*first as usize, *end as usize)) else {
            return Rule::UNKNOWN;
        };
        let rows = self.rows.get(first..end).unwrap_or(&[]);
        // All rows at or before the offset are below this: their rule bits cannot carry.
        let behind = (((offset % BLOCK) as u32) << Rule::BITS) | Rule::MASK;
        let before = first + rows.partition_point(|row| *row <= behind);
        // The row in force may lie in an earlier block.
        match before.checked_sub(1).and_then(|last| self.rows.get(last)) {
            Some(row) => Rule::from_bits(*row),
            None => Rule::UNKNOWN,
        }
    }

    /// What `rule`, one of this table's, says.
    pub(super) fn step(&self, rule: Rule) -> Step {
        match rule.step() {
            Step::Wide(index) => self
                .wide
                .get(index)
                .map_or(Step::Unsupported, |frame| Step::Frame(*frame)),
            step => step,
        }
    }
}
