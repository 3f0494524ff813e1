//! glibc's view: `mallinfo2`, since 2.33.

use std::mem;

use super::allocator_view::{AllocatorView, ViewedAllocator};

/// glibc's `malloc`, which `std::alloc::System` is on Linux with glibc. Says nothing before glibc 2.33, whose `mallinfo`
/// counts up to 2 GiB, and with another C library.
#[derive(Debug, Clone, Copy)]
pub struct Glibc;

/// glibc's `struct mallinfo2`.
#[repr(C)]
struct MallInfo2 {
    /// Of the heaps that are not mappings of one block.
    arena: usize,
    ordblks: usize,
    smblks: usize,
    hblks: usize,
    /// In mappings of one block.
    hblkhd: usize,
    usmblks: usize,
    fsmblks: usize,
    /// In use, of `arena`. What threads' caches keep counts as in use.
    uordblks: usize,
    /// Free, of `arena`.
    fordblks: usize,
    keepcost: usize,
}

impl ViewedAllocator for Glibc {
    fn name(&self) -> &'static str {
        "glibc"
    }

    fn view(&self) -> Option<AllocatorView> {
        // SAFETY: looks a name up, which need not be there.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: the name is glibc's alone, and that is its type there.
        let mallinfo2: extern "C" fn() -> MallInfo2 = unsafe { mem::transmute(found) };
        let info = mallinfo2();
        let bytes = |bytes: usize| Some(bytes as u64);
        Some(AllocatorView {
            in_use: bytes(info.uordblks + info.hblkhd),
            mapped: bytes(info.arena + info.hblkhd),
            active: None,
            idle: bytes(info.fordblks),
            released: None,
            metadata: None,
        })
    }
}
