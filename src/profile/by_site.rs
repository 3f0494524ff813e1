//! A map keyed by where code is, in pages of its own.

use super::interned::Interned;
use super::sites::Site;

/// A value for each site that has one, in the order they came.
#[derive(Debug)]
pub(super) struct BySite<V: Copy>(Interned<(Site, V)>);

impl<V: Copy> Default for BySite<V> {
    fn default() -> Self {
        Self(Interned::new())
    }
}

impl<V: Copy> BySite<V> {
    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(super) fn get(&self, site: Site) -> Option<&V> {
        let nth = self.find(site)?;
        self.0.get(nth).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, site: Site) -> Option<&mut V> {
        let nth = self.find(site)?;
        self.0.get_mut(nth).map(|(_, value)| value)
    }

    /// In place of the value that the site has, if any. False if the system has no memory for it.
    #[must_use]
    pub(super) fn insert(&mut self, site: Site, value: V) -> bool {
        match self.get_mut(site) {
            Some(known) => *known = value,
            None => return self.0.add(hash(site), (site, value)).is_some(),
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Site, V)> {
        self.0.iter()
    }

    fn find(&self, site: Site) -> Option<u32> {
        self.0.find(hash(site), |(known, _)| *known == site)
    }
}

/// A profile looks up hundreds of thousands of sites, and they come from the program itself, so one multiplication takes the
/// place of a hash that withstands an attacker.
fn hash(site: Site) -> u64 {
    // Addresses leave the highest 17 bits alone.
    let mapping = site.mapping.map_or(0, |nth| u64::from(nth) + 1);
    let key = site.address.0 as u64 ^ mapping << 47;
    // 2⁶⁴ divided by the golden ratio: spreads what differs in low bits into the high ones; the table looks at the low ones.
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
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
        assert_eq!(map.iter().count(), model.len());
        for (site, value) in map.iter() {
            assert_eq!(model.get(&(site.mapping, site.address.0)), Some(value));
            assert_eq!(map.get(*site), Some(value));
        }
        let elsewhere = Site::nowhere(ReturnAddress(1));
        assert_eq!(map.get(elsewhere), None);
        assert_eq!(map.get_mut(elsewhere), None);
    }
}
