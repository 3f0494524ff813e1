//! Names, files and lines of addresses: looked up by the symbolizer once, remembered across profiles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::by_site::BySite;
#[cfg(feature = "http")]
use super::mappings::Mapping;
use super::mappings::Mappings;
use super::names::{Line, Lines, Names};
use super::sites::Site;
use super::spool::Spool;
use super::symbol_cache::Cache;
use super::symbolizer::{self, Depth};
use crate::pages::PageVec;
use crate::record;
#[cfg(feature = "http")]
use crate::stack::ReturnAddress;

/// The resolved names of one profile's addresses.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    addresses: BySite<Lines>,
    names: Arc<Names>,
    /// How many addresses were looked up in the symbol table only.
    without_debug_info: usize,
}

impl Resolved {
    /// What an address resolves to, innermost inlined function first; empty if nothing is known.
    pub(super) fn lines(&self, site: Site) -> &[Line] {
        let lines = self.addresses.get(site);
        lines.map_or(&[], |lines| self.names.lines(*lines))
    }

    /// How many addresses have names.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// What a reader should know of names that are not what they could be.
    pub(super) fn loss(&self) -> Option<String> {
        (self.without_debug_info > 0).then(|| {
            format!(
                "{} addresses are named from the symbol table, without files, lines and inlined functions: memory is short",
                self.without_debug_info
            )
        })
    }

    /// Sites with the names of their functions, in no file.
    #[cfg(test)]
    pub(super) fn of(named: &[(Site, &[&str])]) -> Self {
        let mut resolved = Self::default();
        for (site, functions) in named {
            let found = functions.iter().map(|function| symbolizer::Found {
                function: (*function).into(),
                file: String::new(),
                line: 1,
                said: None,
            });
            let found: Vec<_> = found.collect();
            let lines = Arc::make_mut(&mut resolved.names).add(&found);
            let lines = lines.expect("memory");
            assert!(resolved.addresses.insert(*site, lines));
        }
        resolved
    }
}

/// Names that were resolved before.
#[derive(Debug)]
pub(super) struct Symbols {
    /// Taken by the threads that resolve, one at a time: two symbolizers at once would need twice the memory.
    cache: Mutex<Option<Cache>>,
    /// The process that has had the lock, 0 if none has. In a fork child it may be held by a thread that does not exist
    /// there, so a child waits for it only after it has had it once.
    process: AtomicU64,
}

impl Symbols {
    pub(super) const fn new() -> Self {
        Self {
            cache: Mutex::new(None),
            process: AtomicU64::new(0),
        }
    }

    /// Resolves `addresses`, which may repeat. No lines for an address without symbols, in no file, or in a file that is
    /// not on disk as it was loaded; for none of them if the feature `symbolize` is off, or the system has no thread to
    /// spare. `headroom` says how many bytes of memory that may take.
    pub(super) fn resolve(
        &self,
        addresses: impl Iterator<Item = Site>,
        mappings: &Mappings,
        headroom: impl FnOnce() -> u64,
    ) -> Resolved {
        // Of a site that there is no memory for nothing is known.
        let mut seen = BySite::default();
        let wanted = addresses.filter(|site| seen.get(*site).is_none() && seen.insert(*site, ()));
        let mut wanted = PageVec::collect(wanted);
        // Neighbours share debug information.
        wanted.as_mut_slice().sort_unstable();
        let Some(mut cache) = self.lock() else {
            return Resolved::default();
        };
        let cache = cache.get_or_insert_default();
        cache.begin_profile(mappings);
        let mapped = wanted.as_slice().iter().copied();
        let mapped = mapped.filter_map(|site| Some((site, mappings.of(site)?)));
        let missing = PageVec::collect(
            mapped
                .filter(|(site, mapping)| mapping.has_file() && cache.needs(*site))
                .map(|(site, mapping)| (site.address, mapping)),
        );
        let missing = missing.as_slice();
        if !missing.is_empty() {
            let headroom = headroom();
            let mut spool = Spool::new();
            symbolizer::look_up(missing, headroom, &mut |nth, found, depth| {
                spool.push(nth, &found, depth);
            });
            spool.for_each(|nth, found, depth| {
                if let Some((address, mapping)) = missing.get(nth) {
                    cache.learn(*address, mapping, &found, depth);
                }
            });
        }
        let mut resolved = Resolved {
            addresses: BySite::with_room(wanted.as_slice().len()),
            names: cache.names().clone(),
            without_debug_info: 0,
        };
        for site in wanted.as_slice().iter().copied() {
            let Some((lines, depth)) = cache.get(site) else {
                continue;
            };
            if resolved.addresses.insert(site, lines) {
                resolved.without_debug_info += usize::from(depth == Depth::SymbolTable);
            }
        }
        cache.trim();
        resolved
    }

    /// Hands `named` the linker's name of the function that contains each of `addresses`, call addresses: in their
    /// order as numbers, each once, without those that have no name.
    #[cfg(feature = "http")]
    pub(super) fn linker_names(
        &self,
        mut addresses: Vec<usize>,
        mappings: &Mappings,
        named: &mut (dyn FnMut(usize, &str) + Send),
    ) {
        addresses.sort_unstable();
        addresses.dedup();
        // Held for the memory that reading a file takes, as in `resolve`.
        let Some(_cache) = self.lock() else {
            return;
        };
        let returns: Vec<ReturnAddress> = addresses
            .iter()
            .map(|address| ReturnAddress(address.wrapping_add(1)))
            .collect();
        let mapped: Vec<(ReturnAddress, &Arc<Mapping>)> = returns
            .iter()
            .filter_map(|address| Some((*address, mappings.find(address.call())?.1)))
            .filter(|(_, mapping)| mapping.has_file())
            .collect();
        symbolizer::linker_names(&mapped, &mut |nth, name| {
            if let Some((address, _)) = mapped.get(nth) {
                named(address.call(), name);
            }
        });
    }

    /// None in a fork child whose parent was resolving when it forked.
    fn lock(&self) -> Option<MutexGuard<'_, Option<Cache>>> {
        let here = record::process();
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
