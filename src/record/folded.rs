//! What samples of many sizes are folded into: the one entry for those that find the table full, where totals stay true and
//! the stack is lost, and each bucket of mixed sizes.

use super::shared::{AtomicU64, Ordering};

/// Running totals of samples of many sizes, and of many rates if they have no bucket: each is scaled when it is counted,
/// and again, with the same result, when it is freed.
#[derive(Debug)]
pub(crate) struct Folded {
    allocs: Totals,
    frees: Totals,
}

#[derive(Debug)]
struct Totals {
    samples: AtomicU64,
    sampled_bytes: AtomicU64,
    /// Whole objects, and what is left of each sample's in 1/65 536: at the default rate one sampled byte stands for
    /// 524 288.5 objects. In one counter of such parts, small objects would use up 64 bits within days.
    objects: AtomicU64,
    parts: AtomicU64,
    bytes: AtomicU64,
}

/// A reading of one side of `Folded`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FoldedTotals {
    /// Samples, and the bytes they asked for.
    pub(crate) samples: u64,
    pub(crate) sampled_bytes: u64,
    /// What they stand for.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

/// `Totals::parts` in one object.
const PARTS: f64 = 65_536.0;

impl Totals {
    const fn new() -> Self {
        Self {
            samples: AtomicU64::new(0),
            sampled_bytes: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            parts: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    fn add(&self, size: usize, rate: usize) {
        let scale = crate::scale::factor(size, rate);
        let whole = scale as u64;
        let parts = (scale - whole as f64) * PARTS;
        // Release pairs with the Acquire in `read`: a reader that sees the sample sees its bytes, and one that sees any
        // count of a free sees all counts of its alloc.
        self.sampled_bytes.fetch_add(size as u64, Ordering::Release);
        self.objects.fetch_add(whole, Ordering::Release);
        self.parts.fetch_add(parts as u64, Ordering::Release);
        self.bytes
            .fetch_add((size as f64 * scale) as u64, Ordering::Release);
        self.samples.fetch_add(1, Ordering::Release);
    }

    fn read(&self) -> FoldedTotals {
        FoldedTotals {
            samples: self.samples.load(Ordering::Acquire),
            sampled_bytes: self.sampled_bytes.load(Ordering::Acquire),
            objects: {
                let parts = self.parts.load(Ordering::Acquire) / PARTS as u64;
                self.objects.load(Ordering::Acquire).saturating_add(parts)
            },
            bytes: self.bytes.load(Ordering::Acquire),
        }
    }
}

impl Folded {
    pub(crate) const fn new() -> Self {
        Self {
            allocs: Totals::new(),
            frees: Totals::new(),
        }
    }

    pub(super) fn count_alloc(&self, size: usize, rate: usize) {
        self.allocs.add(size, rate);
    }

    pub(super) fn count_free(&self, size: usize, rate: usize) {
        self.frees.add(size, rate);
    }

    /// (allocs, frees), frees read first so that they are not ahead.
    pub(crate) fn totals(&self) -> (FoldedTotals, FoldedTotals) {
        let frees = self.frees.read();
        (self.allocs.read(), frees)
    }
}

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
mod tests;
