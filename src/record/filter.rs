//! The filter that lets almost every free pass with one load: was a block at this address perhaps sampled?
//!
//! ```text
//! level 1:   16 Ki counters ┐
//! level 2:   32 Ki counters │ each mapped when the one before is an eighth full; never unmapped
//! level 9: 4 096 Ki counters ┘
//!
//! newest     n ──map──▶ n+1 ───────────────────────────────    records are added to all of readable..=newest
//! readable   n ────────────── every live record added ─▶ n+1   frees ask this one
//! ```

use core::ptr::{self, NonNull};

use super::drops::NoRoom;
use super::shared::{AtomicPtr, AtomicU8, AtomicUsize, IN_MODEL, Ordering, map, unmap};

/// The first level has 2^14 counters of a byte each: 16 KiB, a third of a first-level data cache. At twice the size
/// the filter of a small service pushes the program's own data out of that cache, at half it has to grow at once.
const FIRST_BITS: u32 = if IN_MODEL { 2 } else { 14 };
/// The last has 2^22: an eighth full at half of the default limit on live records. Beyond that, and where the system
/// gives no memory for the next level, false hits grow more frequent.
const LEVELS: usize = if IN_MODEL { 3 } else { 9 };
/// Counters for each live record at which the next level is made, so that between one free in 16 and one in 8 looks
/// its address up for nothing. At a quarter of it, twice to four times as many do; at four times, the counters of a
/// 10 GiB heap (20 480 records at the default rate) no longer fit a second-level cache beside the program's data.
const COUNTERS_PER_RECORD: usize = if IN_MODEL { 4 } else { 8 };

/// A counting filter over addresses: a counter is above 0 if a live record's address hashes to it.
///
/// The invariant: from the moment its address leaves the allocator until it is retired, a record is counted at least
/// once in the level that a free may read. A record may be counted twice, or be left counted, when it comes or goes
/// while a level is being filled; and a counter that reaches 255 stays there, because it no longer knows how many it
/// stands for. Both cost look-ups, never a missed free.
#[derive(Debug)]
pub(crate) struct Filter {
    /// The counters of the level that frees ask, its shift added to the address: see `word`.
    readable: AtomicPtr<AtomicU8>,
    /// The newest level that records are added to, 0 if there is none: `readable` or the one after it.
    newest: AtomicUsize,
    /// The counters of levels 1 to `LEVELS`.
    levels: [AtomicPtr<AtomicU8>; LEVELS],
}

/// A level: its number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level(usize);

const STUCK: u8 = u8::MAX;
/// What the address of a level's counters is a multiple of, so that a shift can be added to it and taken off again.
const ALIGN: usize = 64;

/// What frees ask before there is a record: two counters that are 0 for ever.
#[repr(align(64))]
struct NoRecords([AtomicU8; 2 * ALIGN]);
/// No state, for nothing is ever written to it: a static because what is read as atomics must be atomics, and a constant may
/// hold none.
static NO_RECORDS: NoRecords = NoRecords([const { AtomicU8::new(0) }; 2 * ALIGN]);
const NO_RECORDS_SHIFT: usize = 31;

impl Filter {
    pub(crate) const fn new() -> Self {
        let counters = NO_RECORDS.0.as_ptr().cast_mut();
        Self {
            readable: AtomicPtr::new(counters.wrapping_add(NO_RECORDS_SHIFT)),
            newest: AtomicUsize::new(0),
            levels: [const { AtomicPtr::new(ptr::null_mut()) }; LEVELS],
        }
    }

    /// False is certain. Whoever frees a block has synchronised with the thread that allocated it, and that thread
    /// had counted the record in the readable level before it let the address out.
    #[inline(always)]
    pub(crate) fn may_contain(&self, address: usize) -> bool {
        self.hits(address) != 0
    }

    /// The counter that an address hashes to.
    #[inline(always)]
    pub(crate) fn hits(&self, address: usize) -> u8 {
        // Acquire pairs with the Release in `grow`: a level is read after it was filled.
        let word = self.readable.load(Ordering::Acquire);
        let counter = word.wrapping_add(hash(address, word.addr()));
        // SAFETY: `readable` is a `word` of `NO_RECORDS` or of a level, neither of which is ever unmapped while the
        // filter lives; a hash that was shifted right by the word's shift is below the number of that level's counters.
        unsafe { &*counter }.load(Ordering::Relaxed)
    }

    /// Makes the first level if there is none. To be called before a record is published.
    pub(super) fn prepare(&self) -> Result<(), NoRoom> {
        let readable = self.readable.load(Ordering::SeqCst);
        if Level::of(readable).0 > 0 {
            return Ok(());
        }
        let first = Level(1);
        let counters = self.map(first).ok_or(NoRoom::Memory)?;
        let _ = self
            .newest
            .compare_exchange(0, first.0, Ordering::SeqCst, Ordering::SeqCst);
        // No record has been published, so this level is complete as it is. Another thread may have come first.
        let _ = self.readable.compare_exchange(
            readable,
            first.word(counters),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        Ok(())
    }

    /// Counts a record that its slot shows already, before its address leaves the allocator.
    ///
    /// The order is what makes it complete: the slot was written before `newest` is read here, and `grow` reads slots
    /// after it has written `newest`, all of them `SeqCst`. So either this sees the new level or its filler sees the
    /// slot.
    pub(super) fn add(&self, address: usize) {
        let newest = self.newest.load(Ordering::SeqCst);
        let readable = self.readable_level().0;
        for level in readable..=newest {
            self.update(Level(level), address, |count| count.checked_add(1));
        }
    }

    /// The level whose count of a record is to be taken back when that record goes. To be read while the record is
    /// still to be seen in its slot: only then is it certain that this level counts it.
    pub(super) fn readable_level(&self) -> Level {
        Level::of(self.readable.load(Ordering::SeqCst))
    }

    /// Takes back a count of a record.
    pub(super) fn remove(&self, level: Level, address: usize) {
        self.update(level, address, |count| {
            if count == STUCK {
                None
            } else {
                count.checked_sub(1)
            }
        });
    }

    /// Whether `records` are too many for the level there is.
    pub(super) fn is_crowded(&self, records: usize) -> bool {
        let newest = self.newest.load(Ordering::Relaxed);
        newest < LEVELS && records > Level(newest).counters() / COUNTERS_PER_RECORD
    }

    /// Makes the next level and fills it with `addresses`: all that slots show, read when they are asked for. Does
    /// nothing if another thread is at it, or if the system gives no memory.
    pub(super) fn grow(&self, addresses: impl Iterator<Item = usize>) {
        let now = self.readable_level();
        let next = Level(now.0 + 1);
        if now.0 == 0 || now.0 == LEVELS {
            return;
        }
        let Some(counters) = self.map(next) else {
            return;
        };
        // From here on records are added to both. Fails if another thread is filling or has filled the next level; in a
        // fork child whose parent was filling it, for ever, which costs false hits.
        let opened =
            self.newest
                .compare_exchange(now.0, next.0, Ordering::SeqCst, Ordering::Relaxed);
        if opened.is_err() {
            return;
        }
        for address in addresses {
            self.update(next, address, |count| count.checked_add(1));
        }
        self.readable.store(next.word(counters), Ordering::SeqCst);
    }

    /// Bytes mapped.
    pub(crate) fn mapped(&self) -> usize {
        let mapped = |(nth, level): (usize, &AtomicPtr<AtomicU8>)| {
            if level.load(Ordering::Relaxed).is_null() {
                0
            } else {
                Level(nth + 1).bytes()
            }
        };
        self.levels.iter().enumerate().map(mapped).sum()
    }

    fn update(&self, level: Level, address: usize, next: impl Fn(u8) -> Option<u8>) {
        let Some(counters) = self.counters(level) else {
            return;
        };
        let word = level.word(counters);
        let counter = word.wrapping_add(hash(address, word.addr()));
        // SAFETY: as in `may_contain`.
        let counter = unsafe { &*counter };
        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn counters(&self, level: Level) -> Option<NonNull<AtomicU8>> {
        let counters = self.levels.get(level.0.checked_sub(1)?)?;
        // Acquire pairs with the Release half of the exchange in `map`.
        NonNull::new(counters.load(Ordering::Acquire))
    }

    /// The counters of a level, mapped if nobody has.
    fn map(&self, level: Level) -> Option<NonNull<AtomicU8>> {
        let slot = self.levels.get(level.0.checked_sub(1)?)?;
        if let Some(counters) = self.counters(level) {
            return Some(counters);
        }
        let fresh = map(level.bytes())?;
        match slot.compare_exchange(
            ptr::null_mut(),
            fresh.as_ptr().cast(),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => Some(fresh.cast()),
            Err(counters) => {
                unmap(fresh, level.bytes());
                NonNull::new(counters)
            }
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        for (nth, level) in self.levels.iter_mut().enumerate() {
            if let Some(counters) = NonNull::new(*level.get_mut()) {
                unmap(counters.cast(), Level(nth + 1).bytes());
            }
        }
    }
}

impl Level {
    fn counters(self) -> usize {
        1 << (FIRST_BITS as usize + self.0 - 1)
    }

    /// Of the mapping: a word's shift is added to the address of the counters, so they end `ALIGN` bytes later.
    fn bytes(self) -> usize {
        self.counters() + ALIGN
    }

    /// A level's counters and shift in one word, so that both come with one load: as mappings are aligned to pages and
    /// a shift is below 32, its low six bits are the shift, and counter 0 lies at the word itself.
    fn word(self, counters: NonNull<AtomicU8>) -> *mut AtomicU8 {
        let shift = 32 - FIRST_BITS as usize - (self.0 - 1);
        counters.as_ptr().wrapping_add(shift)
    }

    fn of(word: *mut AtomicU8) -> Self {
        match word.addr() % ALIGN {
            NO_RECORDS_SHIFT => Level(0),
            shift => Level(32 - FIRST_BITS as usize + 1 - shift),
        }
    }
}

/// The index of an address's counter: the top bits of a product with the low 32 bits of the address, because a multiplier
/// of 32 bits is part of its instruction, where one of 64 needs an instruction of its own. Addresses 4 GiB apart share a
/// counter, which is as likely as any other two. The processor takes only the low six bits of a shift of 64, as does
/// `wrapping_shr`.
#[inline(always)]
fn hash(address: usize, word: usize) -> usize {
    let product = (address as u32).wrapping_mul(MULTIPLIER);
    u64::from(product).wrapping_shr(word as u32) as usize
}

/// Small, so that neighbours in memory are neighbours in the filter: in the first level a cache line has the counters of 15
/// KiB of addresses, and of as many in each 3.8 MB behind them. Threads that sample everything have their blocks in places
/// of their own, so they seldom write to one line; under a multiplier that scatters they did at every other sample.
///
/// Of the odd numbers around 2^10 it is one of the few under which blocks whose distance is a small multiple of a power of
/// two, from 4 KiB to 2 MiB, share no counter. Distances at which more do than at random are as rare (3 % of all from 1 KiB
/// to 2 MiB) as under Fibonacci hashing.
const MULTIPLIER: u32 = 1_137;

#[cfg(test)]
mod tests;
