//! A sampled block is the inner allocator's own: C's `free` takes what `CString::into_raw` gave, C's `realloc` and
//! `malloc_usable_size` know it, and Rust frees what C has allocated. A record whose block C freed is found out when the
//! address comes again, and counted: in-use is right from then on.
#![cfg(target_env = "gnu")]

use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc};
use std::ffi::{CStr, CString, c_void};
use std::hint::black_box;

use debug_pprof::{HeapProfile, ProfiledAllocator};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

fn in_use(size: usize) -> i64 {
    let profile = HeapProfile::capture().expect("installed");
    let of_size = profile
        .records()
        .iter()
        .filter(|record| record.size() == Some(size));
    of_size.map(|record| record.estimate().inuse_objects).sum()
}

fn stale() -> u64 {
    debug_pprof::mem_stats().profiler.stale
}

/// In glibc's own bins, in its thread's cache, and mapped by themselves.
const SIZES: [usize; 4] = [55, 1_499, 9_777, 777_777];

fn c_frees_a_string() {
    let mut found = 0;
    for size in SIZES {
        let baseline = in_use(size);
        let string = CString::new(vec![b'x'; size - 1]).expect("no zero inside");
        assert_eq!(in_use(size) - baseline, 1);
        let raw = string.into_raw();
        // SAFETY: `into_raw` gave a C string.
        assert_eq!(unsafe { CStr::from_ptr(raw) }.count_bytes(), size - 1);
        let before = stale();
        // SAFETY: the string is `malloc`'s, since `System` is for this alignment; nobody uses it any more.
        unsafe { libc::free(raw.cast()) };
        // Mapped blocks and small ones come again at once; others, when the heap around them was joined.
        let mut kept = Vec::with_capacity(300);
        while stale() == before && kept.len() < kept.capacity() {
            kept.push(Block::new(size));
        }
        // Until then its record stays: the wrapper has not heard of it. Without a word if who got the address is not
        // sampled, as the profiler itself is not: then the record goes when that block does.
        let (found_out, blocks) = ((stale() - before) as i64, kept.len() as i64);
        let left = in_use(size) - baseline - blocks;
        assert!(
            left == 0 || left == 1 && found_out == 0,
            "{size} bytes: {left} left"
        );
        found += found_out;
    }
    assert!(found > 0, "no address came again");
}

/// A block that Rust frees.
struct Block(*mut u8, Layout);

impl Block {
    fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 1).expect("a layout");
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { alloc(layout) });
        assert!(!block.is_null());
        Self(block, layout)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout, or by C for it, and freed here only.
        unsafe { dealloc(self.0, self.1) };
    }
}

fn usable_sizes_are_those_of_the_system() {
    // SAFETY: a live block of C's.
    let usable = |block: *mut u8| unsafe { libc::malloc_usable_size(block.cast::<c_void>()) };
    for size in SIZES.map(|size| size + 1) {
        let sampled = Block::new(size);
        // SAFETY: the size is not 0.
        let plain = unsafe { System.alloc(sampled.1) };
        assert!(usable(sampled.0) >= size);
        // Mapped blocks differ by the place on their page.
        assert!(
            usable(sampled.0).abs_diff(usable(plain)) <= 16,
            "{size} bytes"
        );
        // SAFETY: allocated above.
        unsafe { System.dealloc(plain, sampled.1) };
    }
}

fn rust_frees_what_c_allocated_and_c_resizes_what_is_sampled() {
    for size in SIZES.map(|size| size + 2) {
        let baseline = in_use(size);
        // SAFETY: any size will do.
        let foreign = unsafe { libc::malloc(size) };
        assert!(!foreign.is_null());
        let layout = Layout::from_size_align(size, 1).expect("a layout");
        // It has no record, and needs none.
        drop(Block(foreign.cast(), layout));
        assert_eq!(in_use(size), baseline);

        let sampled = Block::new(size);
        // SAFETY: a live block of C's; the old pointer is not used again.
        let resized = unsafe { libc::realloc(sampled.0.cast(), 2 * size) };
        assert!(!resized.is_null());
        std::mem::forget(sampled);
        // SAFETY: `realloc` gave it.
        unsafe { libc::free(resized) };
    }
}

// One test: addresses that one part gives away would come again in another.
#[test]
fn c_frees_sampled_blocks() {
    c_frees_a_string();
    usable_sizes_are_those_of_the_system();
    rust_frees_what_c_allocated_and_c_resizes_what_is_sampled();
}
