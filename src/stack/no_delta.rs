//! Where there are no stack-delta tables: other processors than x86-64, other C libraries than glibc. The signature of
//! `delta/mod.rs`.

use super::{OwnFrame, Stack};

/// No tables.
#[derive(Debug)]
pub(crate) struct Delta;

/// Nothing is remembered of a thread's stack.
#[derive(Debug)]
pub(crate) struct OwnStack;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    #[expect(dead_code, reason = "no walk by tables ends well here")]
    Done,
    NoTables,
}

/// Addresses in objects that are never unloaded while this code runs.
pub(crate) fn pinned_addresses() -> [usize; 4] {
    unsafe extern "C" {
        fn _Unwind_Backtrace(
            trace: *const core::ffi::c_void,
            with: *mut core::ffi::c_void,
        ) -> core::ffi::c_int;
    }
    // SAFETY: looks up a word in the auxiliary vector.
    let entry = (unsafe { libc::getauxval(libc::AT_ENTRY) }) as usize;
    [
        entry,
        pinned_addresses as fn() -> [usize; 4] as usize,
        libc::pthread_self as unsafe extern "C" fn() -> libc::pthread_t as usize,
        _Unwind_Backtrace as *const () as usize,
    ]
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

    pub(super) fn walk(&self, _: &OwnStack, _: OwnFrame, _: usize, _: &mut Stack) -> Walk {
        Walk::NoTables
    }

    pub(crate) fn refresh(&self) {}
}
