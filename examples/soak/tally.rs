//! The exact model: how many blocks of each size were allocated and freed, as counted by whoever did it.

use debug_pprof::HeapProfile;

use crate::random::Random;

/// The sizes of blocks, from what an allocator keeps in a thread's own cache to what it maps. All are primes: nothing else
/// in this program asks for an odd number of bytes, so that at rate 1 a profile has exactly these.
const SIZES: [usize; 11] = [
    17, 61, 131, 521, 1_031, 2_053, 4_099, 16_411, 65_537, 262_147, 1_048_583,
];

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    allocs: i64,
    frees: i64,
}

#[derive(Clone, Default)]
pub(crate) struct Tally {
    counts: [Counts; SIZES.len()],
}

/// A size, small ones more often.
pub(crate) fn any_size(random: &mut Random) -> usize {
    SIZES[random.below(SIZES.len()).min(random.below(SIZES.len()))]
}

impl Tally {
    pub(crate) fn allocated(&mut self, block: &Vec<u8>) {
        if let Ok(class) = SIZES.binary_search(&block.capacity()) {
            self.counts[class].allocs += 1;
        }
    }

    /// To be called before the block is dropped or resized. An empty vector is no block.
    pub(crate) fn freed(&mut self, block: &Vec<u8>) {
        if let Ok(class) = SIZES.binary_search(&block.capacity()) {
            self.counts[class].frees += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        for (sum, counts) in self.counts.iter_mut().zip(&other.counts) {
            sum.allocs += counts.allocs;
            sum.frees += counts.frees;
        }
    }

    pub(crate) fn allocs(&self) -> i64 {
        self.counts.iter().map(|counts| counts.allocs).sum()
    }

    /// What a profile of an interval at rate 1 has of these sizes.
    fn of_profile(grown: &HeapProfile) -> Tally {
        let mut tally = Tally::default();
        for record in grown.records() {
            let class = record
                .size()
                .and_then(|size| SIZES.binary_search(&size).ok());
            if let Some(class) = class {
                let values = record.sampled();
                tally.counts[class].allocs += values.alloc_objects;
                tally.counts[class].frees += values.alloc_objects - values.inuse_objects;
            }
        }
        tally
    }

    /// The sizes for which the profile has other numbers than this tally; empty if it is exact.
    pub(crate) fn differences(&self, grown: &HeapProfile) -> Vec<String> {
        let profile = Tally::of_profile(grown);
        let pairs = self.counts.iter().zip(&profile.counts).zip(SIZES);
        pairs
            .filter(|((counted, profiled), _)| counted != profiled)
            .map(|((counted, profiled), size)| {
                format!(
                    "blocks of {size} B: {} allocated and {} freed, but the profile says {} and {}",
                    counted.allocs, counted.frees, profiled.allocs, profiled.frees
                )
            })
            .collect()
    }
}
