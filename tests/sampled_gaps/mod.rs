//! Gaps between samples, in bytes, as they can be seen from outside: which allocations of a known sequence are records
//! of a heap profile.
//!
//! ```text
//! a row of allocations, each of a size of its own    ├────┼─────┼──────┼───────┼ …
//! records of two captures, one before, one after            ▲              ▲        so these two were sampled
//! the gap between them lies                                 ├─ more than ──┤
//!                                                           ├─ at most ────────────┤
//! ```

use debug_pprof::HeapProfile;

use crate::measured::Block;

/// Allocations in a row. More make a capture dearer, fewer make more captures.
const ROW: usize = 128;

/// The row's sizes are around a 32nd of the rate: a gap is known to within 3 % of its mean.
const PER_GAP: usize = 32;

/// A gap in bytes, known to lie in (from, to].
pub(crate) type Gap = (f64, f64);

/// Watches the calling thread's samples, which must be the only ones of their sizes.
#[derive(Debug)]
pub(crate) struct Watch {
    smallest: usize,
    /// Records of each size so far.
    seen: [i64; ROW],
    /// Bytes allocated since the last sample.
    passed: usize,
}

impl Watch {
    /// Starts at a thread's first allocation, or whenever the last sample does not matter: gaps have no memory.
    pub(crate) fn new(rate: usize) -> Self {
        let mut watch = Self {
            // At the lowest rates the sizes differ more than they measure; any known sizes will do.
            smallest: (rate / PER_GAP).saturating_sub(ROW / 2).max(8),
            seen: [0; ROW],
            passed: 0,
        };
        watch.seen = watch.records();
        watch
    }

    /// Allocates one row and hands out the gaps that ended in it.
    pub(crate) fn row(&mut self, mut gap: impl FnMut(Gap)) {
        for nth in 0..ROW {
            drop(Block::new(self.smallest + nth, 1));
        }
        let now = self.records();
        for (nth, (now, before)) in now.iter().zip(self.seen).enumerate() {
            let from = self.passed;
            self.passed += self.smallest + nth;
            match now - before {
                0 => {}
                1 => {
                    gap((from as f64, self.passed as f64));
                    self.passed = 0;
                }
                more => panic!("one allocation gave {more} samples"),
            }
        }
        self.seen = now;
    }

    fn records(&self) -> [i64; ROW] {
        let profile = HeapProfile::capture().expect("installed");
        let mut records = [0; ROW];
        for record in profile.records() {
            let nth = record.size().unwrap_or(0).wrapping_sub(self.smallest);
            if let Some(count) = records.get_mut(nth) {
                *count += record.sampled().alloc_objects;
            }
        }
        records
    }
}
