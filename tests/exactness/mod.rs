//! What every inner allocator must pass: at rate 1 the profile counts exactly what the program did.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "one argument covers the life of a block"
)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::BTreeMap;
use std::hint::black_box;

use debug_pprof::{HeapProfile, HeapValues};

/// Sizes that nothing else in a test process asks for, so that the harness's own allocations do not count.
const SIZES: [usize; 4] = [1_013, 9_973, 99_991, 1_000_003];

type Model = BTreeMap<usize, HeapValues>;

/// Blocks of a naive exact profiler: it counts what it is told.
struct Naive {
    model: Model,
    blocks: Vec<(usize, Layout)>,
}

impl Naive {
    fn new() -> Self {
        Self {
            model: SIZES
                .iter()
                .map(|size| (*size, HeapValues::default()))
                .collect(),
            blocks: Vec::new(),
        }
    }

    fn count(&mut self, size: usize, allocs: i64, inuse: i64) {
        let values = self.model.get_mut(&size).expect("one of SIZES");
        let bytes = size as i64;
        values.alloc_objects += allocs;
        values.alloc_space += allocs * bytes;
        values.inuse_objects += inuse;
        values.inuse_space += inuse * bytes;
    }

    fn alloc(&mut self, size: usize, align: usize, zeroed: bool) {
        let layout = Layout::from_size_align(size, align).expect("a layout");
        // SAFETY: the size is not 0.
        let block = unsafe {
            if zeroed {
                alloc_zeroed(layout)
            } else {
                alloc(layout)
            }
        };
        assert!(!block.is_null() && block.addr().is_multiple_of(align));
        if zeroed {
            // SAFETY: the block is `size` zeroed bytes.
            assert!(
                unsafe { std::slice::from_raw_parts(block, size) }
                    .iter()
                    .all(|byte| *byte == 0)
            );
        }
        self.blocks.push((block.expose_provenance(), layout));
        self.count(size, 1, 1);
    }

    fn free(&mut self, nth: usize) {
        let (block, layout) = self.blocks.swap_remove(nth);
        // SAFETY: the block came from `alloc` or `realloc` with this layout and leaves the list.
        unsafe { dealloc(std::ptr::with_exposed_provenance_mut(block), layout) };
        self.count(layout.size(), 0, -1);
    }

    fn realloc(&mut self, nth: usize, size: usize) {
        let (block, layout) = self.blocks[nth];
        // SAFETY: as in `free`; the size is not 0 and far below the largest.
        let moved = unsafe { realloc(std::ptr::with_exposed_provenance_mut(block), layout, size) };
        assert!(!moved.is_null());
        let resized = Layout::from_size_align(size, layout.align()).expect("a layout");
        self.blocks[nth] = (moved.expose_provenance(), resized);
        self.count(layout.size(), 0, -1);
        self.count(size, 1, 1);
    }
}

fn measured(profile: &HeapProfile) -> Model {
    let mut model = Naive::new().model;
    for record in profile.records() {
        if let Some(values) = record.size().and_then(|size| model.get_mut(&size)) {
            *values = *values + record.estimate();
            assert_eq!(record.estimate(), record.sampled(), "rate 1 scales by 1");
        }
    }
    model
}

/// Random operations on blocks that move between threads: after each round the profile says exactly what the naive
/// profiler counted.
pub(crate) fn check() {
    debug_pprof::set_sample_rate(1);
    let before = HeapProfile::capture().expect("the allocator is installed");
    let mut naive = Naive::new();
    let mut random = 42_u64;
    let mut next = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % below
    };
    for round in 0..20 {
        let mut work = || {
            for _ in 0..500 {
                match next(6) {
                    0 | 1 => naive.alloc(SIZES[next(4)], 1 << next(9), false),
                    2 => naive.alloc(SIZES[next(4)], 16, true),
                    3 if !naive.blocks.is_empty() => {
                        naive.realloc(next(naive.blocks.len()), SIZES[next(4)])
                    }
                    _ if !naive.blocks.is_empty() => naive.free(next(naive.blocks.len())),
                    _ => {}
                }
            }
        };
        // Every other round on a fresh thread: blocks are freed where they were not allocated.
        if round % 2 == 0 {
            work();
        } else {
            std::thread::scope(|scope| scope.spawn(&mut work).join().expect("no panic"));
        }
        let profile = HeapProfile::capture()
            .expect("the allocator is installed")
            .since(&before);
        assert_eq!(measured(&profile), naive.model, "round {round}");
    }
    while !naive.blocks.is_empty() {
        naive.free(0);
    }
    let after = HeapProfile::capture()
        .expect("the allocator is installed")
        .since(&before);
    assert_eq!(measured(&after), naive.model);
    assert!(
        naive
            .model
            .values()
            .all(|values| values.inuse_space == 0 && values.alloc_objects > 500)
    );
    black_box(naive);
}
