//! An inner allocator that refuses every k-th call leaves the profile exact: what was refused is not in it, a block whose
//! `realloc` was refused still is, and in-use returns to the baseline.

use std::alloc::{GlobalAlloc, Layout, System, alloc, alloc_zeroed, dealloc, realloc};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use debug_pprof::{HeapProfile, HeapValues, ProfiledAllocator};

/// Sizes that nothing else in a test process asks for: only these are refused, since a program's own collections end it
/// when they are.
const SIZES: [usize; 4] = [1_013, 9_973, 99_991, 1_000_003];

/// One in how many calls is refused; 0 is none.
static EVERY: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

struct Refusing;

fn is_refused(size: usize) -> bool {
    let every = EVERY.load(Ordering::Relaxed);
    every > 0
        && SIZES.contains(&size)
        && CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
}

// SAFETY: `System`, or null.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused(size) {
            return null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOC: ProfiledAllocator<Refusing> = ProfiledAllocator::new(Refusing).sample_every(1);

/// What the program did, as it was told.
#[derive(Default)]
struct Exact {
    values: HeapValues,
    blocks: Vec<(usize, Layout)>,
    refused: usize,
}

impl Exact {
    fn came(&mut self, block: *mut u8, layout: Layout) {
        self.blocks.push((block.expose_provenance(), layout));
        self.values.alloc_objects += 1;
        self.values.alloc_space += layout.size() as i64;
        self.values.inuse_objects += 1;
        self.values.inuse_space += layout.size() as i64;
    }

    fn went(&mut self, layout: Layout) {
        self.values.inuse_objects -= 1;
        self.values.inuse_space -= layout.size() as i64;
    }

    fn alloc(&mut self, size: usize, zeroed: bool) {
        let layout = Layout::from_size_align(size, 16).expect("a layout");
        let allocate = if zeroed { alloc_zeroed } else { alloc };
        // SAFETY: the size is not 0.
        let block = unsafe { allocate(layout) };
        if block.is_null() {
            self.refused += 1;
        } else {
            self.came(block, layout);
        }
    }

    fn realloc(&mut self, nth: usize, size: usize) {
        let (address, layout) = self.blocks[nth];
        let block = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: the block is in the list, so it is alive with this layout.
        let moved = unsafe { realloc(block, layout, size) };
        if moved.is_null() {
            self.refused += 1;
            return;
        }
        self.blocks.swap_remove(nth);
        self.went(layout);
        self.came(moved, Layout::from_size_align(size, 16).expect("a layout"));
    }

    fn free(&mut self, nth: usize) {
        let (address, layout) = self.blocks.swap_remove(nth);
        // SAFETY: the block was in the list and is no more.
        unsafe { dealloc(std::ptr::with_exposed_provenance_mut(address), layout) };
        self.went(layout);
    }

    fn step(&mut self, mut next: impl FnMut(usize) -> usize) {
        let blocks = self.blocks.len();
        match next(8) {
            0..3 => self.alloc(SIZES[next(4)], false),
            3 => self.alloc(SIZES[next(4)], true),
            4..6 if blocks > 0 => self.realloc(next(blocks), SIZES[next(4)]),
            _ if blocks > 0 => self.free(next(blocks)),
            _ => {}
        }
    }
}

fn measured() -> HeapValues {
    let profile = HeapProfile::capture().expect("installed");
    let ours = profile
        .records()
        .iter()
        .filter(|record| record.size().is_some_and(|size| SIZES.contains(&size)));
    ours.fold(HeapValues::default(), |sum, record| sum + record.estimate())
}

#[test]
fn blocks_that_are_refused_are_not_counted() {
    let mut exact = Exact::default();
    let mut random = 7_u64;
    let mut next = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for every in [2, 3, 7, 100, 1] {
        EVERY.store(every, Ordering::Relaxed);
        let before = exact.refused;
        for round in 0..10 {
            let mut work = || (0..200).for_each(|_| exact.step(&mut next));
            // Every other round on a thread of its own: what is refused there was not allocated there.
            if round % 2 == 0 {
                work();
            } else {
                std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"));
            }
            assert_eq!(
                measured(),
                exact.values,
                "one in {every} refused, round {round}"
            );
        }
        assert!(exact.refused > before, "nothing was refused");
    }
    assert!(exact.values.alloc_objects > 2_000);
    while !exact.blocks.is_empty() {
        exact.free(0);
    }
    let after = measured();
    assert_eq!((after.inuse_objects, after.inuse_space), (0, 0));
    let stats = debug_pprof::mem_stats().profiler;
    assert_eq!((stats.stale, stats.nested), (0, 0));
}
