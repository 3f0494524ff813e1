//! Where there are no stack-delta tables: other processors than x86-64, other C libraries than glibc. The signature of
//! `delta/mod.rs`.

use super::{Stack, Start};

/// No tables.
#[derive(Debug)]
pub(crate) struct Delta;

/// Nothing is remembered of a thread's stack.
#[derive(Debug)]
pub(crate) struct OwnStack;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "no walk by tables ends well here")
    )]
    Done,
    NoTables,
}

pub(super) fn has_lock_free_look_up() -> bool {
    false
}

impl OwnStack {
    pub(crate) const fn unknown() -> Self {
        Self
    }
}

impl Delta {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn is_good(&self) -> bool {
        false
    }

    pub(crate) fn walks_in_place(&self) -> bool {
        false
    }

    pub(crate) fn bytes(&self) -> usize {
        0
    }

    pub(crate) fn stopped(&self) -> u64 {
        0
    }

    pub(crate) fn is_stale(&self) -> bool {
        false
    }

    #[cfg(feature = "http")]
    pub(crate) fn is_refreshing(&self) -> bool {
        false
    }

    /// Not known.
    pub(super) fn has_room(&self, _: &OwnStack, _: usize) -> bool {
        true
    }

    pub(super) fn count_stopped(&self) {}

    pub(super) fn walk(&self, _: &OwnStack, _: Start, _: usize, _: &mut Stack) -> Walk {
        Walk::NoTables
    }

    pub(crate) fn refresh(&self) {}
}
