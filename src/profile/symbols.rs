//! Names, files and lines of addresses: resolved on a thread of the profiler's, remembered across profiles.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::mappings::Mappings;
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
    /// Identifies the mapping that the address was in: another file may be loaded there later.
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    start: usize,
    build_id: String,
    file: String,
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
        let origin = |address: ReturnAddress| {
            let (_, mapping) = mappings.find(address.call())?;
            Some(Origin {
                start: mapping.start,
                build_id: mapping.build_id.clone(),
                file: mapping.file.clone(),
            })
        };
        let mut missing: Vec<(ReturnAddress, Origin)> = wanted
            .iter()
            .filter_map(|address| Some((*address, origin(*address)?)))
            .filter(|(address, origin)| {
                cache
                    .lines
                    .get(address)
                    .is_none_or(|cached| cached.origin != *origin)
            })
            .collect();
        if cache.lines.len() + missing.len() > CACHED_ADDRESSES {
            *cache = Cache::default();
            missing = wanted
                .iter()
                .filter_map(|address| Some((*address, origin(*address)?)))
                .collect();
        }
        // Neighbours share debug information.
        missing.sort_unstable_by_key(|(address, _)| *address);
        lookup(&mut missing, cache);
        let lines =
            |address: ReturnAddress| Some((address, cache.lines.get(&address)?.lines.clone()));
        wanted.into_iter().filter_map(lines).collect()
    }
}

impl Cache {
    fn string(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(value) {
            return known.clone();
        }
        let string: Arc<str> = value.into();
        self.strings.insert(string.clone());
        string
    }
}

#[cfg(not(feature = "symbolize"))]
fn lookup(_missing: &mut Vec<(ReturnAddress, Origin)>, _cache: &mut Cache) {}

/// Looks up `missing` on a thread of its own: the caller may run on a stack of 16 KiB, and what the symbolizer
/// allocates is then freed on the thread that allocated it.
#[cfg(feature = "symbolize")]
fn lookup(missing: &mut Vec<(ReturnAddress, Origin)>, cache: &mut Cache) {
    if missing.is_empty() {
        return;
    }
    let work = || {
        let _own = crate::record::Suspended::new();
        for (address, origin) in missing.drain(..) {
            let lines = lines_of(address, cache);
            cache.lines.insert(address, Cached { lines, origin });
        }
        // The parsed debug information is tens of megabytes; the next profile finds its names in our cache.
        backtrace::clear_symbol_cache();
    };
    std::thread::scope(|scope| {
        // Without a thread this profile has no names for new addresses; the next one tries again.
        let _ = std::thread::Builder::new()
            .name("debug-pprof-sym".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work);
    });
}

/// Bytes of stack of the symbolizing thread. It was seen to use 20 KiB; address space, not memory.
#[cfg(feature = "symbolize")]
const STACK: usize = 2 << 20;

#[cfg(feature = "symbolize")]
fn lines_of(address: ReturnAddress, cache: &mut Cache) -> Lines {
    let mut lines = Vec::new();
    // `resolve` takes a return address and looks up the call before it.
    backtrace::resolve(address.0 as *mut _, |symbol| {
        let Some(name) = symbol.name() else { return };
        let file = symbol
            .filename()
            .map(|path| path.to_string_lossy())
            .unwrap_or_default();
        lines.push(Line {
            // The alternate form leaves out the hash.
            function: cache.string(&format!("{name:#}")),
            file: cache.string(&file),
            line: symbol.lineno().unwrap_or(0),
        });
    });
    lines.into()
}

/// The linker's name of the function that contains `address`, a call address.
#[cfg(all(feature = "symbolize", feature = "http"))]
pub(super) fn linker_name(address: usize) -> Option<String> {
    let mut found = None;
    let mut look_up = || {
        let _own = crate::record::Suspended::new();
        backtrace::resolve(address.wrapping_add(1) as *mut _, |symbol| {
            // The last is the function that the address is in; those before are inlined into it.
            found = symbol
                .name()
                .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        });
        backtrace::clear_symbol_cache();
    };
    std::thread::scope(|scope| {
        let _ = std::thread::Builder::new()
            .name("debug-pprof-sym".into())
            .stack_size(STACK)
            .spawn_scoped(scope, &mut look_up);
    });
    found
}

#[cfg(all(not(feature = "symbolize"), feature = "http"))]
pub(super) fn linker_name(_address: usize) -> Option<String> {
    None
}
