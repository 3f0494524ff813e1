//! The filter that lets almost every free pass with one load: was a block at this address perhaps sampled?

use core::sync::atomic::{AtomicU8, Ordering};

/// Counters; one byte each, so 16 KiB: half of a first-level data cache. At twice the size the filter pushes the
/// program's own data out of that cache, at half a free has twice the chance of a needless look-up. With n live
/// records that chance is n / 16 384, up to the point where all are taken.
const COUNTERS: usize = 1 << 14;

/// A counting filter over addresses: a counter is above 0 if a live record's address hashes to it.
///
/// A counter that reaches 255 stays there, because it no longer knows how many records it stands for; that costs
/// look-ups, never a missed free.
#[derive(Debug)]
pub(crate) struct Filter {
    counters: [AtomicU8; COUNTERS],
}

const STUCK: u8 = u8::MAX;

impl Filter {
    pub(crate) const fn new() -> Self {
        Self {
            counters: [const { AtomicU8::new(0) }; COUNTERS],
        }
    }

    /// False is certain. A relaxed load is enough: whoever frees a block has synchronised with the thread that
    /// allocated it, and that thread incremented the counter before it let the address out.
    #[inline(always)]
    pub(crate) fn may_contain(&self, address: usize) -> bool {
        self.counter(address)
            .is_none_or(|counter| counter.load(Ordering::Relaxed) != 0)
    }

    pub(super) fn add(&self, address: usize) {
        self.update(address, |count| count.checked_add(1));
    }

    /// Takes back one `add` of the same address.
    pub(super) fn remove(&self, address: usize) {
        self.update(address, |count| {
            if count == STUCK {
                None
            } else {
                count.checked_sub(1)
            }
        });
    }

    fn update(&self, address: usize, next: impl Fn(u8) -> Option<u8>) {
        if let Some(counter) = self.counter(address) {
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        }
    }

    #[inline(always)]
    fn counter(&self, address: usize) -> Option<&AtomicU8> {
        // Fibonacci hashing: the top bits of the product depend on all bits of the address. Always in range, so the
        // compiler drops the check.
        let index = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> (64 - COUNTERS.trailing_zeros());
        self.counters.get(index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_address_is_contained_until_it_is_removed_as_often() {
        let filter = Filter::new();
        assert!(!filter.may_contain(0x1000));
        filter.add(0x1000);
        filter.add(0x1000);
        filter.remove(0x1000);
        assert!(filter.may_contain(0x1000));
        filter.remove(0x1000);
        assert!(!filter.may_contain(0x1000));
    }

    #[test]
    fn a_counter_that_overflowed_never_forgets() {
        let filter = Filter::new();
        for _ in 0..1000 {
            filter.add(0x1000);
        }
        for _ in 0..999 {
            filter.remove(0x1000);
        }
        assert!(filter.may_contain(0x1000));
    }
}
