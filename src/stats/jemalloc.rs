//! jemalloc's view: `mallctl`.

use std::ffi::CStr;
use std::ptr;

use super::allocator_view::{AllocatorView, ViewedAllocator};

/// jemalloc as `tikv-jemallocator` 0.6 builds it.
///
/// ```
/// debug_pprof::stats::set_allocator_view(&debug_pprof::stats::Jemalloc);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Jemalloc;

impl ViewedAllocator for Jemalloc {
    fn name(&self) -> &'static str {
        "jemalloc"
    }

    fn view(&self) -> Option<AllocatorView> {
        // Statistics are of the last epoch.
        let (mut epoch, bytes) = (1_u64, size_of::<u64>());
        let name = c"epoch".as_ptr();
        // SAFETY: this name takes a number of that size, and gives none where none is asked for.
        let advanced = unsafe {
            tikv_jemalloc_sys::mallctl(
                name,
                ptr::null_mut(),
                ptr::null_mut(),
                (&raw mut epoch).cast(),
                bytes,
            )
        };
        if advanced != 0 {
            return None;
        }
        let (active, resident) = (read(c"stats.active"), read(c"stats.resident"));
        Some(AllocatorView {
            in_use: read(c"stats.allocated"),
            mapped: read(c"stats.mapped"),
            active,
            idle: resident
                .zip(active)
                .map(|(all, used)| all.saturating_sub(used)),
            released: read(c"stats.retained"),
            metadata: read(c"stats.metadata"),
        })
    }
}

/// A number of jemalloc's; None if it was built without statistics.
fn read(name: &CStr) -> Option<u64> {
    let (mut value, mut bytes) = (0_usize, size_of::<usize>());
    // SAFETY: all names that are read here give a number of that size, and are given none.
    let result = unsafe {
        tikv_jemalloc_sys::mallctl(
            name.as_ptr(),
            (&raw mut value).cast(),
            &raw mut bytes,
            ptr::null_mut(),
            0,
        )
    };
    (result == 0).then_some(value as u64)
}
