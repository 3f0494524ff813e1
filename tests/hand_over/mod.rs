//! Threads that hand blocks to each other through shared slots, so that an address which one thread frees is at once
//! what another is given.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;
use std::sync::atomic::{AtomicPtr, Ordering};

use debug_pprof::{HeapProfile, HeapValues};

/// Over 1 032 bytes: smaller blocks stay in glibc's cache of the thread that freed them, and no other thread is given
/// their address. Nothing else in a test process asks for these sizes.
const SIZE: usize = 2_039;
/// What every `GROWS`th block is reallocated to, and back.
const GROWN: usize = 3_011;
const GROWS: usize = 4;

fn layout() -> Layout {
    Layout::from_size_align(SIZE, 8).expect("a layout")
}

type Slots = [AtomicPtr<u8>];

fn free(block: *mut u8) {
    if !block.is_null() {
        // SAFETY: only `exchange` fills slots, with blocks of this layout, and who takes one out is its only owner.
        unsafe { dealloc(block, layout()) };
    }
}

fn exchange(slots: &Slots, seed: usize, times: usize) {
    let mut random = seed as u64;
    for nth in 0..times {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // SAFETY: the size is not 0.
        let mut block = black_box(unsafe { alloc(layout()) });
        assert!(!block.is_null());
        if nth.is_multiple_of(GROWS) {
            // SAFETY: the block is this thread's and has this layout.
            block = unsafe { realloc(block, layout(), GROWN) };
            let grown = Layout::from_size_align(GROWN, 8).expect("a layout");
            // SAFETY: as above.
            block = unsafe { realloc(block, grown, SIZE) };
            assert!(!block.is_null());
        }
        let slot = &slots[(random >> 33) as usize % slots.len()];
        free(slot.swap(block, Ordering::AcqRel));
    }
}

/// All threads are given memory from one place, so that a freed address goes to whoever asks next.
fn one_arena() {
    // SAFETY: a setting of glibc's allocator, for threads that have not allocated yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// What the profile says of the blocks: values, and records found where there should have been none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) values: HeapValues,
    pub(crate) stale: u64,
}

/// Four threads that exchange `times` blocks each. All blocks are free in the end.
pub(crate) fn outcome(times: usize) -> Outcome {
    one_arena();
    let slots: Vec<AtomicPtr<u8>> = (0..16).map(|_| AtomicPtr::default()).collect();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let slots = &slots;
            scope.spawn(move || exchange(slots, seed, times));
        }
    });
    slots
        .iter()
        .for_each(|slot| free(slot.load(Ordering::Acquire)));
    let profile = HeapProfile::capture().expect("installed");
    let of_size = profile
        .records()
        .iter()
        .filter(|record| matches!(record.size(), Some(SIZE | GROWN)));
    Outcome {
        values: of_size.fold(HeapValues::default(), |sum, record| sum + record.estimate()),
        stale: debug_pprof::mem_stats().profiler.stale,
    }
}

/// What it should say.
pub(crate) fn expected(times: usize) -> Outcome {
    let grown = 4 * times.div_ceil(GROWS) as i64;
    let plain = 4 * times as i64 + grown;
    Outcome {
        values: HeapValues {
            alloc_objects: plain + grown,
            alloc_space: plain * SIZE as i64 + grown * GROWN as i64,
            ..HeapValues::default()
        },
        stale: 0,
    }
}
