//! `HeapValues`: the four numbers of a heap profile.

use std::ops::{Add, Sub};

/// The four values of a heap profile, in Go's order and with its meaning. In a profile of an interval they are growth
/// and may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeapValues {
    /// Objects allocated since the process started.
    pub alloc_objects: i64,
    /// Bytes allocated since the process started.
    pub alloc_space: i64,
    /// Objects that are allocated now.
    pub inuse_objects: i64,
    /// Bytes that are allocated now.
    pub inuse_space: i64,
}

impl HeapValues {
    pub(in crate::profile) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// In the order of the profile's sample types.
    pub(in crate::profile) fn in_order(self) -> [i64; 4] {
        [
            self.alloc_objects,
            self.alloc_space,
            self.inuse_objects,
            self.inuse_space,
        ]
    }

    /// Objects and bytes, of `alloc` and of `inuse`.
    pub(super) fn of(
        (alloc_objects, alloc_space): (i64, i64),
        (inuse_objects, inuse_space): (i64, i64),
    ) -> Self {
        Self {
            alloc_objects,
            alloc_space,
            inuse_objects,
            inuse_space,
        }
    }

    fn zip(self, other: Self, with: fn(i64, i64) -> i64) -> Self {
        Self {
            alloc_objects: with(self.alloc_objects, other.alloc_objects),
            alloc_space: with(self.alloc_space, other.alloc_space),
            inuse_objects: with(self.inuse_objects, other.inuse_objects),
            inuse_space: with(self.inuse_space, other.inuse_space),
        }
    }
}

impl Add for HeapValues {
    type Output = Self;

    /// Saturates.
    fn add(self, other: Self) -> Self {
        self.zip(other, i64::saturating_add)
    }
}

impl Sub for HeapValues {
    type Output = Self;

    /// Saturates.
    fn sub(self, other: Self) -> Self {
        self.zip(other, i64::saturating_sub)
    }
}
