//! What threads share: the atomics of the lock-free tables, and the pages that those are in. They are core's and the
//! system's.
//!
//! In tests under `--cfg loom` they are a model's: what threads do with them is then tried in all orders, or in many. A
//! program that depends on this crate and is itself built so gets the real ones.

#[cfg(test)]
#[cfg(loom)]
pub(super) mod model;

#[cfg(not(all(test, loom)))]
pub(super) use core::sync::atomic::{
    AtomicIsize, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
};

pub(super) use core::sync::atomic::Ordering;

#[cfg(not(all(test, loom)))]
pub(super) use crate::pages::{map, unmap};

#[cfg(all(test, loom))]
pub(super) use self::model::{
    AtomicIsize, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, map, unmap,
};

/// Whether tables are to be as small as they can be and still do all that they do: a model pays for each word.
pub(super) const IN_MODEL: bool = cfg!(all(test, loom));
