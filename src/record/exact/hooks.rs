//! What the C library calls: at the end of a thread, in a fork child, when the program or the library is loaded and unloaded.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::slots::Slot;
use super::{FIRST_KEY, USELESS_KEY};
use crate::record::RECORD;
use crate::record::thread::Thread;

/// The destructor of the key.
pub(super) extern "C" fn thread_ends(slot: *mut c_void) {
    let Some(slot) = NonNull::new(slot.cast::<Slot>()) else {
        return;
    };
    // SAFETY: the value of the key is the slot that this thread has taken; slots are never unmapped.
    let slot = unsafe { slot.as_ref() };
    Thread::with(|thread| {
        // In a fork child, or if the list was given up, it is not ours any more.
        let is_own = slot
            .counts()
            .is_some_and(|counts| ptr::eq(counts.as_ptr(), &thread.counts));
        if is_own {
            RECORD.exact.thread_ends(slot, thread);
        }
    });
}

extern "C" fn fork_child() {
    Thread::with(|thread| RECORD.exact.after_fork(&thread.counts));
}

extern "C" fn loaded() {
    // SAFETY: the handler runs in the child on its only thread. Forgotten by the C library when this object is unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(fork_child)) };
}

/// A library that is unloaded takes the key's destructor with it: no thread may call it then.
extern "C" fn unloaded() {
    let key = RECORD.exact.key.swap(USELESS_KEY, Ordering::Relaxed);
    if key >= FIRST_KEY {
        // SAFETY: `start` made it, and nobody uses it from here on.
        unsafe { libc::pthread_key_delete(key - FIRST_KEY) };
    }
}

// What must not be done inside malloc, because it allocates, is done when the program, or the library, is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;
#[used]
#[unsafe(link_section = ".fini_array")]
static UNLOADED: extern "C" fn() = unloaded;
