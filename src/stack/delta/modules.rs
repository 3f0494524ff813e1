//! The snapshot of loaded objects and their tables: written outside malloc, read inside it without a lock.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use super::rule::Frame;
use super::table::Table;

/// Objects that can have a table; 16 KiB, of which only what is used is touched. A Rust service has five to twenty.
pub(super) const MODULES: usize = 512;

/// A table that is kept for good: a walk may be reading it at any time, and an object that is loaded again finds it.
#[derive(Debug)]
pub(super) struct KeptTable {
    /// What it was made from: see `Delta::refresh`.
    pub(super) identity: u64,
    /// Made before this one.
    pub(super) next: *const KeptTable,
    pub(super) blocks: &'static [u32],
    pub(super) rows: &'static [u32],
    pub(super) wide: &'static [Frame],
}

/// A sequence lock: a reader notes `version`, reads, and takes what it read for true only if `version` is the same
/// afterwards. A writer never waits for readers, and a reader never waits at all: it does without.
///
/// ```text
/// version   0            nothing was written yet
///           even         valid
///           odd          being written
/// ```
#[derive(Debug)]
pub(super) struct Modules {
    version: AtomicU64,
    len: AtomicUsize,
    /// Sorted by start.
    modules: [Module; MODULES],
}

#[derive(Debug)]
struct Module {
    /// Of its text, in memory.
    start: AtomicUsize,
    end: AtomicUsize,
    table: AtomicPtr<KeptTable>,
    mark: AtomicU64,
}

/// A module as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loaded {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) table: &'static KeptTable,
    /// Its `ModuleMark`, 0 if it is never unloaded.
    pub(super) mark: u64,
}

/// What `find` finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) table: &'static KeptTable,
    /// Of the address, in the module's text.
    pub(super) offset: usize,
    /// As in `Loaded`.
    pub(super) mark: u64,
}

impl KeptTable {
    pub(super) fn table(&self) -> Table<'_> {
        Table {
            blocks: self.blocks,
            rows: self.rows,
            wide: self.wide,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.blocks) + size_of_val(self.rows) + size_of_val(self.wide)
    }
}

impl Modules {
    pub(super) const fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            modules: [const {
                Module {
                    start: AtomicUsize::new(0),
                    end: AtomicUsize::new(0),
                    table: AtomicPtr::new(ptr::null_mut()),
                    mark: AtomicU64::new(0),
                }
            }; MODULES],
        }
    }

    /// The version to read under; None if there is nothing valid to read.
    pub(super) fn version(&self) -> Option<u64> {
        // Acquire pairs with the Release at the end of `write`.
        let version = self.version.load(Ordering::Acquire);
        (version != 0 && version.is_multiple_of(2)).then_some(version)
    }

    /// Whether what was read since `version()` returned `version` is true.
    pub(super) fn is_still(&self, version: u64) -> bool {
        // Keeps the reads before this one; pairs with the fence in `write`.
        fence(Ordering::Acquire);
        self.version.load(Ordering::Relaxed) == version
    }

    /// The module that held `pc` when the modules were written.
    pub(super) fn find(&self, pc: usize) -> Option<Found> {
        let modules = self.modules.get(..self.len.load(Ordering::Relaxed))?;
        let after = modules.partition_point(|module| module.start.load(Ordering::Relaxed) <= pc);
        let module = modules.get(after.checked_sub(1)?)?;
        if pc >= module.end.load(Ordering::Relaxed) {
            return None;
        }
        let table = module.table.load(Ordering::Acquire);
        // SAFETY: null or a table that is kept for good and never changed; Acquire makes it whole, whatever mix of old
        // and new modules a reader sees while they are written.
        let table = unsafe { table.as_ref() }?;
        let offset = pc.wrapping_sub(module.start.load(Ordering::Relaxed));
        Some(Found {
            table,
            offset,
            mark: module.mark.load(Ordering::Relaxed),
        })
    }

    /// Replaces all modules by `loaded`, sorted by start and at most `MODULES`, and calls `changed` before the new ones
    /// are valid. One writer at a time: the caller sees to it.
    pub(super) fn write(&self, loaded: &[Loaded], changed: impl FnOnce()) {
        // Odd already if a fork cut the last writer short.
        let version = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(version, Ordering::Relaxed);
        // What follows is not seen before the odd version: pairs with the fence in `is_still`.
        fence(Ordering::Release);
        for (module, loaded) in self.modules.iter().zip(loaded) {
            module.start.store(loaded.start, Ordering::Relaxed);
            module.end.store(loaded.end, Ordering::Relaxed);
            module.mark.store(loaded.mark, Ordering::Relaxed);
            let table = ptr::from_ref(loaded.table).cast_mut();
            module.table.store(table, Ordering::Release);
        }
        self.len.store(loaded.len().min(MODULES), Ordering::Relaxed);
        changed();
        // Release pairs with the Acquire in `version`.
        self.version.store(version + 1, Ordering::Release);
    }
}
