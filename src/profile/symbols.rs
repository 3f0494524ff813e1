//! Names, files and lines of addresses: resolved on a thread of the profiler's, remembered across profiles.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::mappings::{Mapping, Mappings};
use super::symbolizer::{self, Found};
use crate::stack::ReturnAddress;

/// A source position inside a function, one of those that were inlined into one machine address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Demangled in full, generic arguments and all, without the hash of legacy mangling.
    pub(super) function: Arc<str>,
    /// Empty if unknown.
    pub(super) file: Arc<str>,
    /// 0 if unknown.
    pub(super) line: u32,
}

/// What an address resolves to, innermost inlined function first; empty if nothing is known.
pub(super) type Lines = Arc<[Line]>;

/// The resolved names of one profile's addresses.
pub(super) type Resolved = HashMap<ReturnAddress, Lines>;

/// Addresses remembered across profiles. About 300 bytes each; a service's stacks seldom hold a tenth of this.
const CACHED_ADDRESSES: usize = 1 << 16;

/// Names that were resolved before. The lock is taken by the threads that write profiles, one at a time: two
/// symbolizers at once would need twice the memory.
#[derive(Debug)]
pub(super) struct Symbols(Mutex<Option<Cache>>);

#[derive(Debug, Default)]
struct Cache {
    lines: HashMap<ReturnAddress, Cached>,
    /// Every name and path once.
    strings: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Cached {
    lines: Lines,
    /// Where the address was when it was resolved: another file may be loaded there later.
    mapping: Arc<Mapping>,
}

impl Symbols {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Resolves `addresses`. An address in no mapping, or one without symbols, resolves to no lines. All of them do if
    /// the feature `symbolize` is off or the system has no thread to spare.
    pub(super) fn resolve(
        &self,
        addresses: impl Iterator<Item = ReturnAddress>,
        mappings: &Mappings,
    ) -> Resolved {
        // Nothing panics while the lock is held but for a lack of memory; what is cached is whole either way.
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = cache.get_or_insert_default();
        let wanted: HashSet<ReturnAddress> = addresses.collect();
        let mapped = |address: &ReturnAddress| {
            let (_, mapping) = mappings.find(address.call())?;
            Some((*address, mapping.clone()))
        };
        if cache.lines.len() + wanted.len() > CACHED_ADDRESSES {
            *cache = Cache::default();
        }
        let mut missing: Vec<(ReturnAddress, Arc<Mapping>)> = wanted
            .iter()
            .filter_map(mapped)
            .filter(|found| !cache.holds(found))
            .collect();
        // Neighbours share debug information.
        missing.sort_unstable_by_key(|(address, _)| *address);
        symbolizer::look_up(&missing, &mut |address, mapping, found| {
            let lines = found.into_iter().map(|found| cache.line(found)).collect();
            let mapping = mapping.clone();
            cache.lines.insert(address, Cached { lines, mapping });
        });
        let lines =
            |address: ReturnAddress| Some((address, cache.lines.get(&address)?.lines.clone()));
        wanted.into_iter().filter_map(lines).collect()
    }
}

impl Cache {
    /// Whether the address was resolved in this very mapping. If it was in another, that is forgotten.
    fn holds(&mut self, (address, mapping): &(ReturnAddress, Arc<Mapping>)) -> bool {
        let is_current = self
            .lines
            .get(address)
            .map(|cached| cached.mapping == *mapping);
        if is_current == Some(false) {
            self.lines.remove(address);
        }
        is_current == Some(true)
    }

    fn line(&mut self, found: Found) -> Line {
        Line {
            function: self.string(&found.function),
            file: self.string(&found.file),
            line: found.line,
        }
    }

    fn string(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(value) {
            return known.clone();
        }
        let string: Arc<str> = value.into();
        self.strings.insert(string.clone());
        string
    }
}
