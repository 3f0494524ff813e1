//! A map keyed by where code is, in pages of its own.

use std::iter;

use super::sites::Site;
use crate::pages::PageVec;

/// Slots of the smallest table: a page or two.
const FIRST_SLOTS: usize = 256;

/// A value for each site that has one. A profile looks up hundreds of thousands, so what is found lies where it is looked for:
/// with the entries numbered and elsewhere, as `Interned` has them, a profile took a third longer.
#[derive(Debug)]
pub(super) struct BySite<V: Copy> {
    /// A power of two of them, at most three of four used. A site is in the first that it finds free, from where its hash says.
    slots: PageVec<Option<(Site, V)>>,
    used: usize,
}

impl<V: Copy> Default for BySite<V> {
    fn default() -> Self {
        Self {
            slots: PageVec::new(),
            used: 0,
        }
    }
}

impl<V: Copy> BySite<V> {
    /// With room for as many sites, if the system has it.
    pub(super) fn with_room(sites: usize) -> Self {
        let mut map = Self::default();
        let _ = map.spread((sites + sites / 2).next_power_of_two());
        map
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.slots.as_slice())
    }

    pub(super) fn get(&self, site: Site) -> Option<&V> {
        let slots = self.slots.as_slice();
        let (_, value) = slots.get(place(slots, site)?)?.as_ref()?;
        Some(value)
    }

    pub(super) fn get_mut(&mut self, site: Site) -> Option<&mut V> {
        let slots = self.slots.as_mut_slice();
        let (_, value) = slots.get_mut(place(slots, site)?)?.as_mut()?;
        Some(value)
    }

    /// In place of the value that the site has, if any. False if the system has no memory for it.
    #[must_use]
    pub(super) fn insert(&mut self, site: Site, value: V) -> bool {
        if (self.used + 1) * 4 > self.slots.as_slice().len() * 3
            && !self.spread(self.slots.as_slice().len() * 2)
        {
            return false;
        }
        self.used += usize::from(put(self.slots.as_mut_slice(), site, value));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Site, &V)> {
        let used = self.slots.as_slice().iter().flatten();
        used.map(|(site, value)| (*site, value))
    }

    /// Makes it a table of as many slots.
    #[cold]
    fn spread(&mut self, slots: usize) -> bool {
        let count = slots.max(FIRST_SLOTS);
        let Some(mut slots) = PageVec::try_collect(iter::repeat_n(None, count)) else {
            return false;
        };
        for (site, value) in self.iter() {
            put(slots.as_mut_slice(), site, *value);
        }
        self.slots = slots;
        true
    }
}

/// Where a site is, or where it would be put; None if there are no slots.
fn place<V>(slots: &[Option<(Site, V)>], site: Site) -> Option<usize> {
    let mask = slots.len().checked_sub(1)?;
    // Addresses leave the highest 17 bits alone.
    let mapping = site.mapping.map_or(0, |nth| u64::from(nth) + 1);
    let key = site.address.0 as u64 ^ mapping << 47;
    // 2⁶⁴ divided by the golden ratio spreads what differs in low bits into the high ones. They come from the program itself,
    // so one multiplication takes the place of a hash that withstands an attacker.
    let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
    // One of four is free, so this ends.
    while let Some(Some((other, _))) = slots.get(at)
        && *other != site
    {
        at = (at + 1) & mask;
    }
    Some(at)
}

/// True if the site had no value.
fn put<V>(slots: &mut [Option<(Site, V)>], site: Site, value: V) -> bool {
    let slot = place(slots, site).and_then(|at| slots.get_mut(at));
    slot.is_some_and(|slot| slot.replace((site, value)).is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::stack::ReturnAddress;

    #[test]
    fn a_map_by_site_holds_what_a_hash_map_holds() {
        let mut map = BySite::default();
        let mut model = HashMap::new();
        for nth in 0..20_000_usize {
            let site = Site {
                mapping: [None, Some(0), Some(1)][nth % 3],
                address: ReturnAddress(nth * 7919 % 6_001 * 16),
            };
            assert!(map.insert(site, nth));
            model.insert((site.mapping, site.address.0), nth);
        }
        assert_eq!((map.len(), map.iter().count()), (model.len(), model.len()));
        for (site, value) in map.iter() {
            assert_eq!(model.get(&(site.mapping, site.address.0)), Some(value));
            assert_eq!(map.get(site), Some(value));
        }
        let elsewhere = Site::nowhere(ReturnAddress(1));
        assert_eq!(map.get(elsewhere), None);
        assert_eq!(map.get_mut(elsewhere), None);
    }
}
