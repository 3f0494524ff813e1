//! The rules of recently met addresses: a walk in steady state finds each of its frames here, without a search.

use core::sync::atomic::{AtomicU64, Ordering};

use super::rule::Rule;

/// Entries; 8 KiB. The stacks of a program's hot allocation sites share most of their frames. At half the size a
/// service's stacks evict each other's frames; at twice it, a sample brings more cold lines into the cache.
const ENTRIES: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 10;

/// A direct-mapped table from an address to its rule. An entry is one word, so it is read and written whole: threads
/// race without harm.
///
/// ```text
///  63         27 26     21 20 19     0
/// ┌─────────────┬─────────┬──┬────────┐
/// │ pc, bits 10…│ version │ 1│  rule  │     0 is no entry; the index and the tag together give all of the pc
/// └─────────────┴─────────┴──┴────────┘
/// ```
///
/// `version` is that of the module snapshot the rule came from, modulo 64: an entry that a thread is late to write
/// belongs to no later snapshot. `clear` at each change keeps older ones from coming round again.
#[derive(Debug)]
pub(super) struct Recent([AtomicU64; ENTRIES]);

const VERSION_SHIFT: u32 = 21;
const TAG_SHIFT: u32 = 27;
const PRESENT: u64 = 1 << 20;
/// Bits of a program counter that an entry can tell apart: all that x86-64 programs have without five-level paging.
const PC_BITS: u32 = 47;

impl Recent {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES])
    }

    #[inline(always)]
    pub(super) fn get(&self, pc: usize, version: u64) -> Option<Rule> {
        let entry = self.entry(pc)?.load(Ordering::Relaxed);
        let matches =
            pc >> PC_BITS == 0 && entry >> Rule::BITS == Self::key(pc, version) >> Rule::BITS;
        matches.then(|| Rule::from_bits(entry as u32))
    }

    /// Remembers a rule that means the same in every table.
    pub(super) fn put(&self, pc: usize, version: u64, rule: Rule) {
        if pc >> PC_BITS == 0
            && let Some(entry) = self.entry(pc)
        {
            entry.store(
                Self::key(pc, version) | u64::from(rule.bits()),
                Ordering::Relaxed,
            );
        }
    }

    pub(super) fn clear(&self) {
        for entry in &self.0 {
            entry.store(0, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn key(pc: usize, version: u64) -> u64 {
        let tag = (pc >> INDEX_BITS) as u64;
        tag << TAG_SHIFT | (version % 64) << VERSION_SHIFT | PRESENT
    }

    /// Addresses with one tag fall on different entries: their low bits, turned by the tag, are the index.
    #[inline(always)]
    fn entry(&self, pc: usize) -> Option<&AtomicU64> {
        let turned = pc ^ pc >> INDEX_BITS ^ pc >> (2 * INDEX_BITS);
        self.0.get(turned % ENTRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_address_and_version_are_found() {
        let recent = Recent::new();
        let pc = 0x5555_5566_7788;
        assert_eq!(recent.get(pc, 1), None);
        recent.put(pc, 1, Rule::ROOT);
        assert_eq!(recent.get(pc, 1), Some(Rule::ROOT));
        assert_eq!(recent.get(pc, 2), None);
        for bit in 0..usize::BITS {
            assert_eq!(recent.get(pc ^ 1 << bit, 1), None, "bit {bit}");
        }
        // Too high for the entry: never confused with one that fits.
        recent.put(pc | 1 << 50, 1, Rule::SIGNAL);
        assert_eq!(recent.get(pc | 1 << 50, 1), None);
        assert_eq!(recent.get(pc, 1), Some(Rule::ROOT));
        recent.clear();
        assert_eq!(recent.get(pc, 1), None);
        assert_eq!(recent.get(0, 0), None);
    }
}
