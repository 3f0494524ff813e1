//! Where a frame's code was: an address says so only together with what was loaded there.

use super::mappings::Mappings;
use crate::stack::{ReturnAddress, places};

/// A return address and the mapping that it was in, by its number in a list of mappings: two libraries that took turns at
/// one address have a site each there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    /// None if that is not known any more. First, so that what is in one file stands together when sorted.
    pub(super) mapping: Option<u32>,
    pub(super) address: ReturnAddress,
}

impl Site {
    /// An address that is not in a file.
    pub(super) fn nowhere(address: ReturnAddress) -> Self {
        Self {
            mapping: None,
            address,
        }
    }

    /// The sites of a stack, leaf first.
    pub(super) fn of_stack(
        frames: &[ReturnAddress],
        mappings: &Mappings,
    ) -> impl Iterator<Item = Site> {
        // Callers are mostly in the file of what they call, so it is looked at before all are searched.
        let mut last = None;
        places(frames).map(move |(address, mark)| {
            let known = last.filter(|(holder, of): &(u32, _)| {
                *of == mark && mappings.is_there(*holder, address.call())
            });
            let mapping = match known {
                Some((holder, _)) => Some(holder),
                None => mappings.holder(address.call(), mark),
            };
            last = mapping.map(|holder| (holder, mark));
            Site { mapping, address }
        })
    }
}
