//! `LabelSet`: the labels that are in force on a thread, as one word that can be read inside malloc.

/// A set of labels, as a number that [`labels`](crate::labels) gave it. What it holds can be looked up for as long as the
/// process runs, from any thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(u32);

impl LabelSet {
    /// No labels.
    pub const NONE: LabelSet = LabelSet(0);

    pub(crate) const fn numbered(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Whether there are no labels in it.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
