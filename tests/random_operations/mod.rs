//! Random operations on a wrapped allocator, against a naive profiler that counts what it is told. A sequence that fails
//! is cut down to the shortest that does.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "one argument covers the life of a block"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use debug_pprof::{HeapProfile, HeapValues, Limits, ProfiledAllocator, ProfilerStats};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// `System`, which answers null when it is told to.
pub(crate) struct Refusing;

thread_local! {
    static REFUSES: Cell<bool> = const { Cell::new(false) };
}

fn answer(block: impl FnOnce() -> *mut u8) -> *mut u8 {
    if REFUSES.get() {
        return std::ptr::null_mut();
    }
    block()
}

// SAFETY: `System`, or null.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        answer(|| unsafe { System.alloc(layout) })
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        answer(|| unsafe { System.alloc_zeroed(layout) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        answer(|| unsafe { System.realloc(block, layout, size) })
    }
}

/// What is wrapped is not the process's allocator: the profile has these operations in it and nothing else.
pub(crate) type Wrapper = ProfiledAllocator<Refusing>;

const SIZES: [usize; 4] = [24, 1_013, 9_973, 99_991];

#[derive(Debug, Clone)]
enum What {
    Alloc {
        size: usize,
        align: u32,
        zeroed: bool,
    },
    Realloc {
        nth: usize,
        size: usize,
    },
    Free {
        nth: usize,
    },
    Rate(usize),
    Snapshot,
}

#[derive(Debug, Clone)]
struct Operation {
    what: What,
    /// The inner allocator answers null.
    fails: bool,
    /// On a thread of its own.
    elsewhere: bool,
}

fn operations(rates: &'static [usize]) -> impl Strategy<Value = Vec<Operation>> {
    let size = || proptest::sample::select(&SIZES[..]);
    let what = prop_oneof![
        6 => (size(), 0_u32..9, any::<bool>())
            .prop_map(|(size, align, zeroed)| What::Alloc { size, align, zeroed }),
        3 => (0_usize..64, size()).prop_map(|(nth, size)| What::Realloc { nth, size }),
        3 => (0_usize..64).prop_map(|nth| What::Free { nth }),
        1 => proptest::sample::select(rates).prop_map(What::Rate),
        1 => Just(What::Snapshot),
    ];
    let operation = (what, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |(what, fails, elsewhere)| Operation {
            what,
            fails,
            elsewhere,
        },
    );
    vec(operation, 1..80)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Yes,
    No,
    Perhaps,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    address: usize,
    layout: Layout,
    recorded: Recorded,
}

/// Counts what it is told.
struct Naive<'a> {
    wrapper: &'a Wrapper,
    limit: usize,
    rate: usize,
    blocks: Vec<Block>,
    /// By size, what rate 1 has sampled.
    exact: BTreeMap<usize, HeapValues>,
    /// By size, the most that the random rate can have sampled.
    most: BTreeMap<usize, HeapValues>,
    before: HeapProfile,
}

fn capture() -> HeapProfile {
    HeapProfile::capture().expect("the wrapper has been used")
}

fn stats() -> ProfilerStats {
    debug_pprof::mem_stats().profiler
}

fn count(values: &mut BTreeMap<usize, HeapValues>, size: usize, allocs: i64, inuse: i64) {
    let values = values.entry(size).or_default();
    let bytes = size as i64;
    values.alloc_objects += allocs;
    values.alloc_space += allocs * bytes;
    values.inuse_objects += inuse;
    values.inuse_space += inuse * bytes;
}

impl<'a> Naive<'a> {
    fn new(wrapper: &'a Wrapper, limit: usize) -> Self {
        debug_pprof::set_sample_rate(1);
        Self {
            wrapper,
            limit,
            rate: 1,
            blocks: Vec::new(),
            exact: BTreeMap::new(),
            most: BTreeMap::new(),
            before: capture(),
        }
    }

    /// What is asked for when `size` is meant. Rate 1 samples all and 0 nothing; what others sample is not for a naive
    /// profiler to know, so what is allocated under them has sizes of its own.
    fn size(&self, size: usize) -> usize {
        size + usize::from(self.rate > 1)
    }

    /// Counts a block that was allocated while the profiler had `live` records.
    fn allocated(&mut self, size: usize, live: usize) -> Recorded {
        match self.rate {
            0 => Recorded::No,
            1 => {
                let kept = live < self.limit;
                count(&mut self.exact, size, 1, i64::from(kept));
                if kept { Recorded::Yes } else { Recorded::No }
            }
            _ => {
                count(&mut self.most, size, 1, 1);
                Recorded::Perhaps
            }
        }
    }

    fn freed(&mut self, block: Block) {
        let values = match block.recorded {
            Recorded::Yes => &mut self.exact,
            Recorded::No => return,
            Recorded::Perhaps => &mut self.most,
        };
        count(values, block.layout.size(), 0, -1);
    }

    fn alloc(&mut self, size: usize, align: u32, zeroed: bool, fails: bool) {
        let layout = Layout::from_size_align(self.size(size), 1 << align).expect("a layout");
        let live = stats().live_records;
        REFUSES.set(fails);
        // SAFETY: the size is not 0.
        let address = unsafe {
            if zeroed {
                self.wrapper.alloc_zeroed(layout)
            } else {
                self.wrapper.alloc(layout)
            }
        };
        REFUSES.set(false);
        assert_eq!(address.is_null(), fails);
        if !fails {
            let recorded = self.allocated(layout.size(), live);
            self.blocks.push(Block {
                address: address.expose_provenance(),
                layout,
                recorded,
            });
        }
    }

    fn realloc(&mut self, nth: usize, size: usize, fails: bool) {
        let (block, size) = (self.blocks[nth], self.size(size));
        let address = std::ptr::with_exposed_provenance_mut(block.address);
        let (live, folded) = (stats().live_records, stats().folded_live_limit);
        REFUSES.set(fails);
        // SAFETY: the block is alive with this layout; the size is not 0 and far below the largest.
        let moved = unsafe { self.wrapper.realloc(address, block.layout, size) };
        REFUSES.set(false);
        assert_eq!(moved.is_null(), fails);
        if fails {
            return;
        }
        // Freed first, so there is room for one if it had a record.
        let others = live - usize::from(block.recorded == Recorded::Yes);
        self.freed(block);
        let recorded = match block.recorded {
            // At the limit it is not known whether there is room: the old block may have had the last place.
            Recorded::Perhaps if live >= self.limit && self.rate == 1 => {
                let kept = stats().folded_live_limit == folded;
                count(&mut self.exact, size, 1, i64::from(kept));
                if kept { Recorded::Yes } else { Recorded::No }
            }
            _ => self.allocated(size, others),
        };
        let layout = Layout::from_size_align(size, block.layout.align()).expect("a layout");
        self.blocks[nth] = Block {
            address: moved.expose_provenance(),
            layout,
            recorded,
        };
    }

    fn free(&mut self, nth: usize) {
        let block = self.blocks.swap_remove(nth);
        let address = std::ptr::with_exposed_provenance_mut(block.address);
        // SAFETY: the block came from the wrapper with this layout, and leaves the list.
        unsafe { self.wrapper.dealloc(address, block.layout) };
        self.freed(block);
    }

    fn run(&mut self, operation: Operation) {
        let nth = |nth: usize, blocks: &[Block]| (!blocks.is_empty()).then(|| nth % blocks.len());
        match operation.what {
            What::Alloc {
                size,
                align,
                zeroed,
            } => self.alloc(size, align, zeroed, operation.fails),
            What::Realloc { nth: any, size } => {
                if let Some(nth) = nth(any, &self.blocks) {
                    self.realloc(nth, size, operation.fails)
                }
            }
            What::Free { nth: any } => {
                if let Some(nth) = nth(any, &self.blocks) {
                    self.free(nth)
                }
            }
            What::Rate(rate) => {
                debug_pprof::set_sample_rate(rate);
                self.rate = rate;
            }
            What::Snapshot => self.compare(),
        }
    }

    /// That the profile says what was counted.
    fn compare(&self) {
        let profile = capture().since(&self.before);
        let mut by_size = BTreeMap::<usize, HeapValues>::new();
        for record in profile.records() {
            let size = record.size().unwrap_or(0);
            let sum = by_size.entry(size).or_default();
            *sum = *sum + record.sampled();
        }
        // By size, unless samples have lost theirs.
        if !by_size.contains_key(&0) {
            for size in SIZES {
                let [exact, found] =
                    [&self.exact, &by_size].map(|all| all.get(&size).copied().unwrap_or_default());
                assert_eq!(found, exact, "of {size} bytes");
                let [most, found] = [&self.most, &by_size]
                    .map(|all| all.get(&(size + 1)).copied().unwrap_or_default());
                assert!(
                    found.alloc_objects <= most.alloc_objects
                        && (0..=most.inuse_objects).contains(&found.inuse_objects),
                    "{found:?} of {most:?}"
                );
            }
        }
        if self.most.is_empty() {
            let exact = self.exact.values();
            let exact = exact.fold(HeapValues::default(), |sum, values| sum + *values);
            assert_eq!(profile.total(), exact, "in total");
            let recorded = self
                .blocks
                .iter()
                .filter(|block| block.recorded == Recorded::Yes);
            assert_eq!(stats().live_records, recorded.count());
        }
        assert!(stats().live_records <= self.limit);
        assert_eq!(stats().stale, 0);
    }
}

impl Drop for Naive<'_> {
    /// So that the next sequence begins with nothing, after one that failed too.
    fn drop(&mut self) {
        while !self.blocks.is_empty() {
            self.free(0);
        }
    }
}

/// Runs random sequences of operations, each compared as it goes and when all is freed.
pub(crate) fn check(wrapper: &'static Wrapper, limits: Limits, rates: &'static [usize]) {
    // The first allocation makes the limits known.
    let layout = Layout::new::<u64>();
    // SAFETY: the size is not 0; the block is freed once.
    unsafe { wrapper.dealloc(wrapper.alloc(layout), layout) };
    let cases = if std::env::var_os("DEBUG_PPROF_LONG").is_some() {
        5_000
    } else {
        50
    };
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let ran = TestRunner::new(config).run(&operations(rates), |operations| {
        let mut naive = Naive::new(wrapper, limits.live_records);
        for operation in operations {
            if operation.elsewhere {
                let naive = &mut naive;
                std::thread::scope(|scope| {
                    let run = scope.spawn(|| naive.run(operation));
                    if let Err(panic) = run.join() {
                        std::panic::resume_unwind(panic);
                    }
                });
            } else {
                naive.run(operation);
            }
        }
        naive.compare();
        while !naive.blocks.is_empty() {
            naive.free(0);
        }
        naive.compare();
        assert_eq!(stats().live_records, 0);
        Ok(())
    });
    if let Err(shortest) = ran {
        panic!("{shortest}");
    }
}
