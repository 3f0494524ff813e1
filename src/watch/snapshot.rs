//! The counts of all buckets at one moment, in four to six bytes a bucket.
//!
//! Buckets are never freed and never move, so their address names them, and in the order of their addresses the distance
//! to the one before is a small number. Numbers are written seven bits a byte, the lowest first:
//!
//! ```text
//! (address − the one before) / 8 · allocs · allocs − frees      of one bucket, and the next behind it
//! ```

use crate::pages::PageVec;

/// What a bucket's address is a multiple of.
const ALIGN: usize = 8;

/// A bucket, by its address, and its sampled counts. Both are 0 of one that was not there yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) bucket: usize,
    pub(super) allocs: u64,
    /// Allocated and not freed.
    pub(super) inuse: u64,
}

/// Adds counts to the end of a log, in the order of their buckets' addresses.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    log: &'a mut PageVec<u8>,
    last: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(log: &'a mut PageVec<u8>) -> Self {
        Self { log, last: 0 }
    }

    /// False if the system has no memory for it.
    #[must_use]
    pub(super) fn add(&mut self, counts: Counts) -> bool {
        // Two numbers of 64 bits and one of 61.
        let mut bytes = [0; 29];
        let mut len = 0;
        let step = counts.bucket.wrapping_sub(self.last) / ALIGN;
        for number in [step as u64, counts.allocs, counts.inuse] {
            let mut rest = number;
            loop {
                let more = rest > 0x7f;
                if let Some(byte) = bytes.get_mut(len) {
                    *byte = (rest & 0x7f) as u8 | u8::from(more) << 7;
                }
                len += 1;
                rest >>= 7;
                if !more {
                    break;
                }
            }
        }
        self.last = counts.bucket;
        self.log.extend(bytes.get(..len).unwrap_or_default())
    }
}

/// What a [`Writer`] wrote.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: std::slice::Iter<'a, u8>,
    last: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
            last: 0,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.bytes.next()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = Counts;

    fn next(&mut self) -> Option<Counts> {
        let step = self.number()? as usize * ALIGN;
        self.last = self.last.wrapping_add(step);
        Some(Counts {
            bucket: self.last,
            allocs: self.number()?,
            inuse: self.number()?,
        })
    }
}

/// Two ordered sequences side by side: each bucket once, with what either says of it.
pub(super) fn side_by_side<'a>(
    one: impl Iterator<Item = Counts> + 'a,
    other: impl Iterator<Item = Counts> + 'a,
) -> impl Iterator<Item = (Option<Counts>, Option<Counts>)> + 'a {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        let first = [one.peek(), other.peek()];
        let bucket = first
            .into_iter()
            .flatten()
            .map(|counts| counts.bucket)
            .min()?;
        let is_it = |counts: &Counts| counts.bucket == bucket;
        Some((one.next_if(is_it), other.next_if(is_it)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_as_they_were() {
        let all: Vec<Counts> = [
            (8, 0, 0),
            (16, 127, 128),
            (0x7fff_ffff_fff8, u64::MAX, u64::MAX),
            (usize::MAX & !7, 1, 0),
        ]
        .into_iter()
        .map(|(bucket, allocs, inuse)| Counts {
            bucket,
            allocs,
            inuse,
        })
        .collect();
        let mut log = PageVec::new();
        let mut writer = Writer::new(&mut log);
        assert!(all.iter().all(|counts| writer.add(*counts)));
        assert!(Reader::new(log.as_slice()).eq(all.iter().copied()));
        // Cut anywhere, it ends.
        for len in 0..log.as_slice().len() {
            let read: Vec<_> = Reader::new(&log.as_slice()[..len]).collect();
            assert!(all.starts_with(&read));
        }
    }

    #[test]
    fn neighbours_take_few_bytes() {
        let mut log = PageVec::new();
        let mut writer = Writer::new(&mut log);
        for nth in 0..10_000 {
            // Buckets of 30 frames with some hundred samples.
            let counts = Counts {
                bucket: 0x7f12_3456_0000 + nth * 296,
                allocs: 500,
                inuse: 20,
            };
            assert!(writer.add(counts));
        }
        assert!(log.as_slice().len() <= 10_000 * 4 + 8);
    }

    #[test]
    fn sequences_are_joined_by_bucket() {
        let counts = |bucket, allocs| Counts {
            bucket,
            allocs,
            inuse: 0,
        };
        let one = [counts(8, 1), counts(24, 2)];
        let other = [counts(16, 3), counts(24, 4), counts(32, 5)];
        let joined: Vec<_> = side_by_side(one.into_iter(), other.into_iter()).collect();
        assert_eq!(
            joined,
            [
                (Some(one[0]), None),
                (None, Some(other[0])),
                (Some(one[1]), Some(other[1])),
                (None, Some(other[2])),
            ]
        );
    }
}
