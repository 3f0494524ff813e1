//! What the symbolizer has found before, within a bound.

use std::sync::Arc;

use super::by_site::BySite;
use super::mappings::{Mapping, Mappings};
use super::names::{Lines, Names};
use super::sites::Site;
use super::symbolizer::{Depth, Found};
use crate::stack::ReturnAddress;

/// Bytes that are remembered between profiles, about. 5 000 addresses take 1 to 3 MB; 300 000, as 10 000 stacks of 30
/// frames without a frame in common would have, take 30. With half of it such a profile looks everything up each time.
const KEPT_BYTES: usize = 48 << 20;

/// File parts that names are remembered of, for a program that loads libraries at ever new addresses. Over that, all is
/// forgotten.
const MOST_MAPPINGS: usize = 4096;

/// What sites resolve to.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// A site's mapping is counted in `mappings` here.
    addresses: BySite<Entry>,
    /// Shared with the profiles that are being written; what is learned meanwhile goes into a copy.
    names: Arc<Names>,
    /// Every file part that an address was in when it was resolved: another may be loaded there later.
    mappings: Vec<Arc<Mapping>>,
    /// Which of `mappings` each of the present profile's is.
    present: Vec<u32>,
    profile: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// In `Cache::names`.
    lines: Lines,
    /// The last profile that had this address.
    profile: u32,
    depth: Depth,
}

impl Cache {
    /// From here on `mappings` is what is loaded.
    pub(super) fn begin_profile(&mut self, mappings: &Mappings) {
        self.profile = self.profile.wrapping_add(1);
        self.present.clear();
        if self.mappings.len() > MOST_MAPPINGS {
            *self = Self::default();
        }
        for mapping in mappings.iter() {
            let nth = self.number(mapping);
            self.present.push(nth);
        }
    }

    fn number(&mut self, mapping: &Arc<Mapping>) -> u32 {
        let mut known = self.mappings.iter();
        let nth = known.position(|known| known.is_same_file(mapping));
        nth.unwrap_or_else(|| {
            self.mappings.push(mapping.clone());
            self.mappings.len() - 1
        }) as u32
    }

    /// A site of the present profile, as it is numbered here.
    fn own(&self, site: Site) -> Option<Site> {
        let mapping = self.present.get(site.mapping? as usize).copied()?;
        Some(Site {
            mapping: Some(mapping),
            ..site
        })
    }

    /// Whether a site of the present profile is to be looked up.
    pub(super) fn needs(&mut self, site: Site) -> bool {
        // Names that were resolved before the file was replaced are right still.
        let own = self.own(site);
        match own.and_then(|own| self.addresses.get_mut(own)) {
            Some(entry) => {
                entry.profile = self.profile;
                entry.depth == Depth::SymbolTable
            }
            None => true,
        }
    }

    /// Without memory for it nothing is learned: the next profile asks again.
    pub(super) fn learn(
        &mut self,
        address: ReturnAddress,
        mapping: &Arc<Mapping>,
        found: &[Found],
        depth: Depth,
    ) {
        let Some(lines) = Arc::make_mut(&mut self.names).add(found) else {
            return;
        };
        let entry = Entry {
            lines,
            profile: self.profile,
            depth,
        };
        let site = Site {
            mapping: Some(self.number(mapping)),
            address,
        };
        // Without memory for it the next profile asks again.
        let _ = self.addresses.insert(site, entry);
    }

    /// The lines of a site of the present profile, innermost inlined function first.
    pub(super) fn get(&self, site: Site) -> Option<(Lines, Depth)> {
        let entry = self.addresses.get(self.own(site)?)?;
        Some((entry.lines, entry.depth))
    }

    pub(super) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    fn bytes(&self) -> usize {
        self.names.bytes() + self.addresses.bytes()
    }

    /// Forgets what the present profile did not have, if too much is remembered, and of the rest what is too much.
    pub(super) fn trim(&mut self) {
        self.trim_to(KEPT_BYTES);
    }

    fn trim_to(&mut self, bound: usize) {
        if self.bytes() <= bound {
            return;
        }
        let old = std::mem::take(self);
        self.mappings = old.mappings;
        self.profile = old.profile;
        let names = Arc::make_mut(&mut self.names);
        for (site, entry) in old.addresses.iter() {
            // Half of it is left free, so that the next profiles find room.
            if names.bytes() + self.addresses.bytes() > bound / 2 {
                break;
            }
            if entry.profile != old.profile {
                continue;
            }
            if let Some(lines) = names.add_from(&old.names, entry.lines) {
                let _ = self.addresses.insert(site, Entry { lines, ..*entry });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Vec<Found> {
        vec![Found {
            function: name.into(),
            file: "f.rs".into(),
            line: 7,
        }]
    }

    fn site(address: usize, nth: usize) -> Site {
        Site {
            mapping: Some(nth as u32),
            address: ReturnAddress(address),
        }
    }

    fn names(cache: &Cache, address: usize, nth: usize) -> Option<String> {
        let (lines, _) = cache.get(site(address, nth))?;
        let line = cache.names.lines(lines).first()?;
        Some(cache.names.function(line)?.name.to_owned())
    }

    #[test]
    fn what_the_last_profile_had_is_kept_and_the_rest_goes_first() {
        let mappings = Mappings::read();
        let mapping = mappings.iter().next().unwrap();
        let mut cache = Cache::default();
        cache.begin_profile(&mappings);
        for address in 0..1_000 {
            cache.learn(
                ReturnAddress(address),
                mapping,
                &found(&format!("old{address}")),
                Depth::DebugInfo,
            );
        }
        cache.begin_profile(&mappings);
        for address in 900..1_100 {
            if cache.needs(site(address, 0)) {
                cache.learn(
                    ReturnAddress(address),
                    mapping,
                    &found(&format!("new{address}")),
                    Depth::DebugInfo,
                );
            }
        }
        let before = cache.bytes();
        cache.trim_to(before - 1);
        cache.begin_profile(&mappings);
        assert_eq!(names(&cache, 0, 0), None);
        assert_eq!(names(&cache, 950, 0).as_deref(), Some("old950"));
        assert_eq!(names(&cache, 1_050, 0).as_deref(), Some("new1050"));
        // Even when all of it was in the last profile, the bound holds.
        for address in 0..1_000 {
            cache.learn(
                ReturnAddress(address),
                mapping,
                &found(&format!("big{address}")),
                Depth::DebugInfo,
            );
        }
        let bound = cache.bytes() / 2;
        cache.trim_to(bound);
        assert!(cache.bytes() <= bound && cache.addresses.len() > 0);
    }

    #[test]
    fn a_name_holds_for_its_file_and_one_from_the_symbol_table_until_there_is_a_better() {
        let mappings = Mappings::read();
        let all: Vec<_> = mappings.iter().cloned().collect();
        let mut cache = Cache::default();
        cache.begin_profile(&mappings);
        let address = ReturnAddress(1);
        assert!(cache.needs(site(1, 0)));
        cache.learn(address, &all[0], &found("a"), Depth::SymbolTable);
        assert!(cache.needs(site(1, 0)));
        cache.learn(address, &all[0], &found("b"), Depth::DebugInfo);
        assert!(!cache.needs(site(1, 0)));
        assert!(cache.needs(site(1, 1)) && cache.get(site(1, 1)).is_none());
    }
}
