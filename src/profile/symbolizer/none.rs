//! Without the feature `symbolize`: nothing is found, and profiles show `binary+0xoffset`.

use super::Found;
use crate::stack::ReturnAddress;

pub(in crate::profile) fn look_up<T: Sync>(
    _addresses: &[(ReturnAddress, T)],
    _found: &mut (dyn FnMut(ReturnAddress, &T, Vec<Found>) + Send),
) {
}

#[cfg(feature = "http")]
pub(in crate::profile) fn linker_names(_addresses: &[usize]) -> Vec<(usize, String)> {
    Vec::new()
}
