//! The walk by stack-delta tables: each step is a look-up and two bounded loads.
//!
//! ```text
//! outside malloc   loader ─▶ objects ─▶ build ─▶ tables, kept for good ─▶ modules (sequence lock)
//! inside malloc    registers ─▶ recent, else modules, else in_place ─▶ rule ─▶ memory (bounded) ─▶ next frame
//! ```
//!
//! No allocation, no lock, no foreign code but the loader's lock-free look-up; memory is read only where it is known to be
//! mapped, so that bad unwind data, fibres and frames of generated code end a stack instead of the process.

mod build;
mod call_frame;
mod cursor;
mod expression;
mod image;
mod in_place;
mod memory;
mod modules;
mod objects;
mod recent;
mod refresh;
mod registers;
mod rule;
mod self_test;
mod table;
mod walk;

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

pub(super) use self::image::has_lock_free_look_up;
use self::image::{Pinned, ReadablePages};
pub(crate) use self::memory::OwnStack;
use self::modules::{KeptTable, Modules};
use self::recent::Recent;
use super::loader_lock::{self, Changes};
use super::{Stack, Start};

/// The tables and their state.
#[derive(Debug)]
pub(crate) struct Delta {
    modules: Modules,
    recent: Recent,
    /// See `State`.
    state: AtomicU8,
    /// 1 while a thread is refreshing; for ever in a fork child whose parent was.
    refreshing: AtomicU8,
    /// The loader's counts when `modules` was written.
    added: AtomicU64,
    removed: AtomicU64,
    /// All tables, newest first.
    kept: AtomicPtr<KeptTable>,
    bytes: AtomicUsize,
    /// Walks that ended before the root.
    stopped: AtomicU64,
    /// See `Pages`.
    pages: AtomicU8,
    pinned: Pinned,
    readable: ReadablePages,
}

/// Whether the kernel can be asked what can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Pages {
    Untested,
    CanBeAskedAbout,
    Unknown,
}

/// What the tables are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// Not tried yet.
    Untested,
    /// They give what `backtrace` gives.
    Good,
    /// They do not, or there is no memory for them: never used.
    Failed,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// The stack holds what there is.
    Done,
    /// There are no tables for this stack, or they are being changed: another way must be found.
    NoTables,
}

impl Delta {
    pub(crate) const fn new() -> Self {
        Self {
            modules: Modules::new(),
            recent: Recent::new(),
            state: AtomicU8::new(State::Untested as u8),
            refreshing: AtomicU8::new(0),
            added: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            kept: AtomicPtr::new(ptr::null_mut()),
            bytes: AtomicUsize::new(0),
            stopped: AtomicU64::new(0),
            pages: AtomicU8::new(Pages::Untested as u8),
            pinned: Pinned::new(),
            readable: ReadablePages::new(),
        }
    }

    /// Whether walks go by the tables.
    pub(crate) fn is_good(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Good as u8
    }

    /// Bytes of all tables.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Stacks that ended before their root, for lack of unwind data or of stack to read.
    pub(crate) fn stopped(&self) -> u64 {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether a `refresh` may have something to do: the loader has loaded or unloaded something since the last one, and
    /// none is under way. Outside malloc only.
    ///
    /// In a process that was forked while its parent refreshed, never again. In any other fork child yes, without asking:
    /// the loader's lock may be held by a thread that does not exist there, and then nobody but the thread that refreshes
    /// waits for it.
    pub(crate) fn is_stale(&self) -> bool {
        self.refreshing.load(Ordering::Relaxed) == 0
            && self.state.load(Ordering::Relaxed) != State::Failed as u8
            && (!loader_lock::may_wait() || self.is_outdated())
    }

    /// Whether a thread is making tables; for ever in a process that was forked from one that did.
    #[cfg(feature = "http")]
    pub(crate) fn is_refreshing(&self) -> bool {
        self.refreshing.load(Ordering::Relaxed) != 0
    }

    fn is_outdated(&self) -> bool {
        self.state.load(Ordering::Relaxed) != State::Failed as u8
            && (self.modules.version().is_none() || Changes::read() != self.changes())
    }

    fn changes(&self) -> Changes {
        Changes {
            added: self.added.load(Ordering::Relaxed),
            removed: self.removed.load(Ordering::Relaxed),
        }
    }

    /// Walks the calling thread's stack into `stack`.
    pub(super) fn walk(
        &self,
        own: &OwnStack,
        start: Start,
        depth: usize,
        stack: &mut Stack,
    ) -> Walk {
        let state = self.state.load(Ordering::Relaxed);
        if state == State::Failed as u8 {
            return Walk::NoTables;
        }
        if state == State::Good as u8
            && let Some(version) = self.modules.version()
        {
            let walk = self.walk_by(Some(version), own, start, depth, stack);
            if walk == Walk::Done {
                return walk;
            }
            stack.clear();
        }
        if image::can_be_found() && self.can_ask_about_pages() {
            self.walk_by(None, own, start, depth, stack)
        } else {
            Walk::NoTables
        }
    }

    /// Inside malloc, too.
    fn can_ask_about_pages(&self) -> bool {
        if self.pages.load(Ordering::Relaxed) == Pages::Untested as u8 {
            let pages = match memory::can_be_asked_about() {
                true => Pages::CanBeAskedAbout,
                false => Pages::Unknown,
            };
            self.pages.store(pages as u8, Ordering::Relaxed);
        }
        self.pages.load(Ordering::Relaxed) == Pages::CanBeAskedAbout as u8
    }

    /// Whether stacks that have no tables are walked by unwind data in place.
    pub(crate) fn walks_in_place(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Untested as u8
            && image::can_be_found()
            && self.can_ask_about_pages()
    }
}

#[cfg(test)]
mod tests;
