//! Names, files and lines of addresses: looked up by the symbolizer once, remembered across profiles.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::by_site::BySite;
use super::mappings::{Mapping, Mappings};
use super::runtime_frames::is_runtime;
use super::sites::Site;
use super::spool::Spool;
use super::symbol_cache::Cache;
use super::symbolizer::{self, Depth};
use crate::stack::ReturnAddress;

/// A function of the program, or an instance of it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    /// Demangled in full, generic arguments and all, without the hash of legacy mangling.
    pub(super) name: Box<str>,
    /// Empty if unknown. Shared by the functions in it.
    pub(super) file: Arc<str>,
    /// Whether it belongs to the allocation runtime.
    pub(super) is_runtime: bool,
}

impl Function {
    pub(super) fn new(name: String, file: Arc<str>) -> Self {
        Self {
            is_runtime: is_runtime(&name, &file),
            name: name.into(),
            file,
        }
    }
}

/// A source position inside a function, one of those that were inlined into one machine address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Index in a table of functions.
    pub(super) function: u32,
    /// 0 if unknown.
    pub(super) line: u32,
}

/// The resolved names of one profile's addresses.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Where the lines of an address begin and end in `lines`.
    addresses: BySite<(u32, u32)>,
    lines: Vec<Line>,
    functions: Vec<Arc<Function>>,
    /// How many addresses were looked up in the symbol table only.
    without_debug_info: usize,
}

impl Resolved {
    /// What an address resolves to, innermost inlined function first; empty if nothing is known.
    pub(super) fn lines(&self, address: Site) -> &[Line] {
        let range = self.addresses.get(&address);
        let lines = range.and_then(|(start, end)| self.lines.get(*start as usize..*end as usize));
        lines.unwrap_or_default()
    }

    pub(super) fn function(&self, line: &Line) -> Option<&Function> {
        self.functions.get(line.function as usize).map(Arc::as_ref)
    }

    /// One past the highest index in `Line::function`, and the number of addresses.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.functions.len(), self.addresses.len())
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

    pub(super) fn add(&mut self, address: Site, lines: impl Iterator<Item = Line>) {
        let start = self.lines.len();
        self.lines.extend(lines);
        // Lines beyond 2³² would be a hundred gigabytes of profile.
        let range = (start as u32, self.lines.len() as u32);
        self.addresses.insert(address, range);
    }

    pub(super) fn add_function(&mut self, function: Arc<Function>) -> u32 {
        self.functions.push(function);
        self.functions.len() as u32 - 1
    }
}

/// Names that were resolved before.
#[derive(Debug)]
pub(super) struct Symbols {
    /// Taken by the threads that resolve, one at a time: two symbolizers at once would need twice the memory.
    cache: Mutex<Option<Cache>>,
    /// The process that has had the lock, 0 if none has. In a fork child it may be held by a thread that does not exist
    /// there, so a child waits for it only after it has had it once.
    process: AtomicU32,
}

impl Symbols {
    pub(super) const fn new() -> Self {
        Self {
            cache: Mutex::new(None),
            process: AtomicU32::new(0),
        }
    }

    /// Resolves `addresses`, which may repeat. No lines for an address without symbols, in no file, or in a file that is
    /// not on disk as it was loaded; for none of them if the feature `symbolize` is off, or the system has no thread to
    /// spare.
    pub(super) fn resolve(
        &self,
        addresses: impl Iterator<Item = Site>,
        mappings: &Mappings,
    ) -> Resolved {
        let mut wanted = BySite::default();
        wanted.extend(addresses.map(|address| (address, ())));
        let mut wanted: Vec<Site> = wanted.into_keys().collect();
        // Neighbours share debug information.
        wanted.sort_unstable();
        let Some(mut cache) = self.lock() else {
            return Resolved::default();
        };
        let cache = cache.get_or_insert_default();
        cache.begin_profile(mappings);
        let mapped = wanted
            .iter()
            .filter_map(|site| Some((site, mappings.of(*site)?)));
        let missing: Vec<(ReturnAddress, Arc<Mapping>)> = mapped
            .filter(|(site, mapping)| mapping.has_file() && cache.needs(**site))
            .map(|(site, mapping)| (site.address, mapping.clone()))
            .collect();
        if !missing.is_empty() {
            let headroom = symbolizer::headroom();
            let mut spool = Spool::new();
            symbolizer::look_up(&missing, headroom, &mut |nth, found, depth| {
                spool.push(nth, &found, depth);
            });
            spool.for_each(|nth, found, depth| {
                if let Some((address, mapping)) = missing.get(nth) {
                    cache.learn(*address, mapping, found, depth);
                }
            });
        }
        let mut resolved = Resolved::default();
        resolved.addresses.reserve(wanted.len());
        let mut functions: HashMap<u32, u32> = HashMap::new();
        let mut of_profile = Vec::new();
        for site in wanted {
            let Some((lines, depth)) = cache.get(site) else {
                continue;
            };
            resolved.without_debug_info += usize::from(depth == Depth::SymbolTable);
            of_profile.clear();
            for line in lines {
                let function = match functions.get(&line.function) {
                    Some(known) => *known,
                    None => {
                        let Some(function) = cache.function(line) else {
                            continue;
                        };
                        let new = resolved.add_function(function.clone());
                        functions.insert(line.function, new);
                        new
                    }
                };
                of_profile.push(Line { function, ..*line });
            }
            resolved.add(site, of_profile.iter().copied());
        }
        cache.trim();
        resolved
    }

    /// The linker's names of the functions that contain `addresses`, call addresses; those that have none are left out.
    #[cfg(feature = "http")]
    pub(super) fn linker_names(
        &self,
        addresses: &[usize],
        mappings: &Mappings,
    ) -> Vec<(usize, String)> {
        // Held for the memory that reading a file takes, as in `resolve`.
        let Some(_cache) = self.lock() else {
            return Vec::new();
        };
        let returns = addresses
            .iter()
            .map(|address| ReturnAddress(address.wrapping_add(1)));
        let mut returns: Vec<ReturnAddress> = returns.collect();
        returns.sort_unstable();
        returns.dedup();
        let mapped: Vec<(ReturnAddress, Arc<Mapping>)> = returns
            .iter()
            .filter_map(|address| Some((*address, mappings.find(address.call())?.1)))
            .filter(|(_, mapping)| mapping.has_file())
            .map(|(address, mapping)| (address, mapping.clone()))
            .collect();
        let names = symbolizer::linker_names(&mapped);
        let named: HashMap<usize, String> = names
            .into_iter()
            .filter_map(|(nth, name)| Some((mapped.get(nth)?.0.call(), name)))
            .collect();
        addresses
            .iter()
            .filter_map(|address| Some((*address, named.get(address)?.clone())))
            .collect()
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
