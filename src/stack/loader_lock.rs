//! The loader's lock, which is held while something is loaded or unloaded. In a fork child it may be held by a thread that
//! does not exist there, and whoever asks the loader then waits for ever.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::record;

/// The process that made the first allocation, or a fork child that the loader has answered; 0 before.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// This process had its first allocation, or the loader has answered it: whoever holds the lock from now on will let go.
pub(crate) fn is_free_here() {
    // Relaxed: the number alone says it.
    ANSWERED.store(record::process(), Ordering::Relaxed);
}

/// Whether the loader's lock may be waited for.
pub(crate) fn may_wait() -> bool {
    ANSWERED.load(Ordering::Relaxed) == record::process()
}

/// How often the loader has added and removed an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Changes {
    pub(crate) added: u64,
    pub(crate) removed: u64,
}

impl Changes {
    /// None in a fork child that the loader has not answered yet.
    pub(crate) fn read_if_free() -> Option<Self> {
        may_wait().then(Self::read)
    }

    /// Waits for the loader's lock.
    pub(super) fn read() -> Self {
        unsafe extern "C" fn first(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            changes: *mut c_void,
        ) -> c_int {
            // SAFETY: the loader passes a valid entry.
            let info = unsafe { &*info };
            // SAFETY: `read` passes its local.
            unsafe { changes.cast::<Changes>().write(Changes::of(info)) };
            1
        }
        let mut changes = Self::default();
        // SAFETY: `first` has the signature that is called for, and `changes` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut changes).cast()) };
        is_free_here();
        changes
    }

    pub(super) fn of(info: &libc::dl_phdr_info) -> Self {
        Self {
            added: info.dlpi_adds,
            removed: info.dlpi_subs,
        }
    }
}
