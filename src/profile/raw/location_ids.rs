//! Numbers of locations, in memory of a fixed size.

use super::super::sites::Site;
use crate::pages::PageVec;

/// A power of two: 0.8 MB. A program has some thousands of return addresses that allocate; benchmarks have 80 000. Beyond
/// three in four a location that comes again is written again, which makes the file larger and is right still.
const SLOTS: usize = 1 << 16;

/// The number of each site that has one.
#[derive(Debug)]
pub(super) struct LocationIds {
    /// 0 is free; a site is in the first that it finds free, from where its hash says.
    keys: PageVec<u64>,
    ids: PageVec<u32>,
    used: usize,
    last: u64,
}

impl LocationIds {
    /// None if the system has no memory for it.
    pub(super) fn reserve() -> Option<Self> {
        Some(Self {
            keys: PageVec::try_collect(std::iter::repeat_n(0, SLOTS))?,
            ids: PageVec::try_collect(std::iter::repeat_n(0, SLOTS))?,
            used: 0,
            last: 0,
        })
    }

    pub(super) fn clear(&mut self) {
        self.keys.as_mut_slice().fill(0);
        (self.used, self.last) = (0, 0);
    }

    /// Numbers in order, without looking back.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A site's number, and whether it is new.
    pub(super) fn of(&mut self, site: Site) -> (u64, bool) {
        // Addresses leave the highest 17 bits alone.
        let mapping = site.mapping.map_or(0, |nth| u64::from(nth) + 1);
        let key = (site.address.0 as u64 ^ mapping << 47).max(1);
        // 2⁶⁴ divided by the golden ratio spreads what differs in low bits into the high ones.
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SLOTS;
        loop {
            match self.keys.as_slice().get(at) {
                Some(known) if *known == key => {
                    let id = self.ids.as_slice().get(at).copied().unwrap_or(0);
                    return (id.into(), false);
                }
                Some(0) | None => break,
                Some(_) => at = (at + 1) % SLOTS,
            }
        }
        let id = self.next();
        if self.used < SLOTS / 4 * 3
            && let Ok(short) = u32::try_from(id)
            && let Some(slot) = self.keys.as_mut_slice().get_mut(at)
            && let Some(known) = self.ids.as_mut_slice().get_mut(at)
        {
            (*slot, *known) = (key, short);
            self.used += 1;
        }
        (id, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::ReturnAddress;
    use std::collections::HashMap;

    #[test]
    fn a_site_keeps_its_number_until_there_are_too_many() {
        let mut ids = LocationIds::reserve().unwrap();
        for _ in 0..2 {
            let mut model = HashMap::new();
            for nth in 0..40_000_usize {
                let site = Site {
                    mapping: (nth % 7 > 0).then_some(nth as u32 % 7),
                    address: ReturnAddress(0x7f00_0000_0000 + nth / 2 * 16),
                };
                let (id, is_new) = ids.of(site);
                let known = model.get(&(site.mapping, site.address.0)).copied();
                assert_eq!(is_new, known.is_none());
                assert_eq!(id, known.unwrap_or(model.len() as u64 + 1));
                model.insert((site.mapping, site.address.0), id);
            }
            ids.clear();
        }
        for nth in 0..SLOTS * 2 {
            let site = Site::nowhere(ReturnAddress(4096 + nth));
            assert_eq!(ids.of(site), (nth as u64 + 1, true));
        }
        assert!(ids.of(Site::nowhere(ReturnAddress(4096 + SLOTS * 2 - 1))).1);
        assert_eq!(ids.of(Site::nowhere(ReturnAddress(4096))), (1, false));
    }
}
