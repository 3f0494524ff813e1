//! Mappings that were there when a profile was taken: the stacks of what was sampled in a library outlive it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::mappings::{Mapping, Mappings};

/// How many are remembered, of those that may be unloaded; about 200 bytes each. Of more, those that were seen first
/// are forgotten first, and what was sampled in them has no names any more.
const MOST: usize = 512;

/// Attempts to take the lock, which is held for microseconds: in a fork child it may be held for ever.
const ATTEMPTS: usize = 1000;

/// What was seen.
#[derive(Debug)]
pub(super) struct Remembered(Mutex<Vec<Arc<Mapping>>>);

impl Remembered {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// What is loaded now, and after that what is remembered and gone.
    pub(super) fn mappings(&self) -> Mappings {
        let mut mappings = Mappings::read();
        let Some(mut seen) = self.lock() else {
            return mappings;
        };
        let is_there =
            |mapping: &Arc<Mapping>| mappings.iter().any(|now| now.is_same_file(mapping));
        let gone: Vec<Arc<Mapping>> = seen.iter().filter(|old| !is_there(old)).cloned().collect();
        let is_new = |now: &&Arc<Mapping>| {
            now.can_be_told_apart() && !seen.iter().any(|old| old.is_same_file(now))
        };
        let new: Vec<Arc<Mapping>> = mappings.iter().filter(is_new).cloned().collect();
        seen.extend(new);
        let too_many = seen.len().saturating_sub(MOST);
        seen.drain(..too_many);
        mappings.add_gone(gone);
        mappings
    }

    fn lock(&self) -> Option<MutexGuard<'_, Vec<Arc<Mapping>>>> {
        for _ in 0..ATTEMPTS {
            match self.0.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => {
                    return Some(PoisonError::into_inner(poisoned));
                }
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }
}
