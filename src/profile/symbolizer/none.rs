//! Without the feature `symbolize`: nothing is found, and profiles show `binary+0xoffset`.

use std::sync::Arc;

use super::{Depth, Found};
use crate::profile::mappings::Mapping;
use crate::stack::ReturnAddress;

pub(in crate::profile) fn look_up(
    _addresses: &[(ReturnAddress, &Arc<Mapping>)],
    _headroom: u64,
    _found: &mut (dyn FnMut(usize, Vec<Found>, Depth) + Send),
) {
}

#[cfg(feature = "http")]
pub(in crate::profile) fn linker_names(
    _addresses: &[(ReturnAddress, &Arc<Mapping>)],
    _named: &mut (dyn FnMut(usize, &str) + Send),
) {
}
