//! Names, files and lines of addresses: resolved on a thread of the profiler's, remembered across profiles.

use std::collections::{HashMap, HashSet};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

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

/// Names that were resolved before.
#[derive(Debug)]
pub(super) struct Symbols {
    /// Taken by the threads that resolve, one at a time: two symbolizers at once would need twice the memory.
    cache: Mutex<Option<Cache>>,
    /// The process that has had the lock, 0 if none has. In a fork child it may be held by a thread that does not exist
    /// there, so a child waits for it only after it has had it once.
    process: AtomicU32,
}

#[derive(Debug, Default)]
struct Cache {
    lines: HashMap<ReturnAddress, Cached>,
    /// Every name and path once.
    strings: HashSet<Arc<str>>,
    /// What was loaded when the symbolizer was first used, which it takes to be loaded ever since.
    known: Vec<Arc<Mapping>>,
}

#[derive(Debug)]
struct Cached {
    lines: Lines,
    /// Where the address was when it was resolved: another file may be loaded there later.
    mapping: Arc<Mapping>,
}

impl Symbols {
    pub(super) const fn new() -> Self {
        Self {
            cache: Mutex::new(None),
            process: AtomicU32::new(0),
        }
    }

    /// Resolves `addresses`. No lines for an address without symbols, in no mapping, in a file that was replaced on
    /// disk, or in a library that was loaded after the first profile; for none of them if the feature `symbolize` is
    /// off, or the system has no thread to spare.
    pub(super) fn resolve(
        &self,
        addresses: impl Iterator<Item = ReturnAddress>,
        mappings: &Mappings,
    ) -> Resolved {
        let wanted: HashSet<ReturnAddress> = addresses.collect();
        let mapped: Vec<(ReturnAddress, Arc<Mapping>)> = wanted
            .into_iter()
            .filter_map(|address| Some((address, mappings.find(address.call())?.1.clone())))
            .collect();
        let Some(mut cache) = self.lock() else {
            return Resolved::default();
        };
        let cache = cache.get_or_insert_default();
        cache.learn(mappings);
        let mut missing: Vec<_> = mapped
            .iter()
            .filter(|found| cache.needs(found))
            .cloned()
            .collect();
        if cache.lines.len() + missing.len() > CACHED_ADDRESSES {
            cache.clear();
            missing = mapped
                .iter()
                .filter(|found| cache.needs(found))
                .cloned()
                .collect();
        }
        // Neighbours share debug information.
        missing.sort_unstable_by_key(|(address, _)| *address);
        symbolizer::look_up(&missing, &mut |address, mapping, found| {
            let lines = found.into_iter().map(|found| cache.line(found)).collect();
            let mapping = mapping.clone();
            cache.lines.insert(address, Cached { lines, mapping });
        });
        mapped
            .into_iter()
            .filter_map(|found| Some((found.0, cache.get(&found)?)))
            .collect()
    }

    /// The linker's names of the functions that contain `addresses`, call addresses; those that have none are left out.
    #[cfg(feature = "http")]
    pub(super) fn linker_names(
        &self,
        addresses: &[usize],
        mappings: &Mappings,
    ) -> Vec<(usize, String)> {
        let Some(mut cache) = self.lock() else {
            return Vec::new();
        };
        let cache = cache.get_or_insert_default();
        cache.learn(mappings);
        let can_be_named = |address: &usize| {
            mappings
                .find(*address)
                .is_some_and(|(_, mapping)| cache.can_be_named(mapping))
        };
        let named: Vec<usize> = addresses.iter().copied().filter(can_be_named).collect();
        symbolizer::linker_names(&named)
    }

    /// None in a fork child whose parent was resolving when it forked.
    fn lock(&self) -> Option<MutexGuard<'_, Option<Cache>>> {
        let here = process::id();
        // Nothing panics while the lock is held but for a lack of memory; what is cached is whole either way.
        let wait = || Some(self.cache.lock().unwrap_or_else(PoisonError::into_inner));
        // Relaxed: who may wait is decided by the value alone, and the lock orders the rest.
        let first = self
            .process
            .compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
        if first.is_ok() || first == Err(here) {
            return wait();
        }
        let taken = match self.cache.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            // Another thread of this child was faster.
            Err(TryLockError::WouldBlock) if self.process.load(Ordering::Relaxed) == here => wait(),
            Err(TryLockError::WouldBlock) => None,
        };
        if taken.is_some() {
            self.process.store(here, Ordering::Relaxed);
        }
        taken
    }
}

impl Cache {
    fn learn(&mut self, mappings: &Mappings) {
        if self.known.is_empty() {
            self.known = mappings.iter().cloned().collect();
        }
    }

    /// Whether what the symbolizer would read for this mapping is what is loaded there.
    fn can_be_named(&self, mapping: &Mapping) -> bool {
        !mapping.replaced && self.known.iter().any(|known| known.is_same_file(mapping))
    }

    fn needs(&self, found: &(ReturnAddress, Arc<Mapping>)) -> bool {
        self.get(found).is_none() && self.can_be_named(&found.1)
    }

    /// The lines of an address, if it was resolved in this very mapping. Names that were resolved before the file was
    /// replaced are right still.
    fn get(&self, (address, mapping): &(ReturnAddress, Arc<Mapping>)) -> Option<Lines> {
        let cached = self
            .lines
            .get(address)
            .filter(|cached| cached.mapping.is_same_file(mapping));
        cached.map(|cached| cached.lines.clone())
    }

    fn clear(&mut self) {
        self.lines = HashMap::new();
        self.strings = HashSet::new();
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
