//! The addresses that an entry of debug information says it covers.

use std::ops::Range;

use gimli::{Attribute, AttributeValue, RangeListsOffset, UnitRef};

use super::effort::Effort;
use super::sections::Bytes;

/// An address that is wanted, in the file's own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// Inside the call, not behind it.
    pub(super) address: u64,
    /// Which of the caller's addresses it is.
    pub(super) nth: usize,
}

/// Which of `wanted`, sorted by address, lie in `range`.
pub(super) fn within(wanted: &[Wanted], range: &Range<u64>) -> Range<usize> {
    let first = wanted.partition_point(|wanted| wanted.address < range.start);
    let rest = wanted.get(first..).unwrap_or_default();
    first..first + rest.partition_point(|wanted| wanted.address < range.end)
}

/// The attributes of an entry that say where its code is.
#[derive(Debug, Default)]
pub(super) struct CodeRanges {
    low: Option<u64>,
    high: Option<u64>,
    len: Option<u64>,
    list: Option<RangeListsOffset>,
}

impl CodeRanges {
    pub(super) fn note<'d>(
        &mut self,
        unit: UnitRef<'_, Bytes<'d>>,
        attribute: &Attribute<Bytes<'d>>,
    ) {
        let value = attribute.value();
        match attribute.name() {
            gimli::DW_AT_low_pc => self.low = unit.attr_address(value).ok().flatten(),
            gimli::DW_AT_high_pc => match value {
                AttributeValue::Udata(len) => self.len = Some(len),
                address => self.high = unit.attr_address(address).ok().flatten(),
            },
            gimli::DW_AT_ranges => self.list = unit.attr_ranges_offset(value).ok().flatten(),
            _ => {}
        }
    }

    /// Calls `each` for the ranges that begin in `code`. Others are of code that the linker has left out.
    pub(super) fn for_each(
        &self,
        unit: UnitRef<'_, Bytes<'_>>,
        code: &[Range<u64>],
        effort: &mut Effort,
        mut each: impl FnMut(Range<u64>),
    ) {
        let mut in_code = |start: u64, end: u64| {
            if start < end && code.iter().any(|code| code.contains(&start)) {
                each(start..end);
            }
        };
        if let Some(list) = self.list {
            let Ok(mut list) = unit.ranges(list) else {
                return;
            };
            while let Ok(Some(range)) = list.next() {
                in_code(range.begin, range.end);
                if !effort.step() {
                    return;
                }
            }
        } else if let Some(low) = self.low {
            let end = match (self.high, self.len) {
                (Some(high), _) => high,
                (None, Some(len)) => low.saturating_add(len),
                (None, None) => return,
            };
            in_code(low, end);
        }
    }
}
