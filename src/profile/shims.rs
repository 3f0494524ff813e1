//! The functions between the profiler and whoever called the allocator, by address: `__rust_alloc` and its like. In
//! binaries with symbols their names tell (`runtime_frames.rs`); this is for stripped ones.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::mappings::function_start;
use crate::record::{Suspended, stack_of_allocation};
use crate::stack::ReturnAddress;

/// Starts of the functions that stand between the profiler and a function that allocates.
#[derive(Debug)]
pub(super) struct Shims(HashSet<usize>);

/// The shims, once they have been found. Nobody waits for who finds them, which in a fork child may be a thread that does
/// not exist: they are found again.
#[derive(Debug)]
pub(super) struct KnownShims(Mutex<Option<Arc<Shims>>>);

impl KnownShims {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn get(&self) -> Arc<Shims> {
        let mut known = match self.0.try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(known)) => PoisonError::into_inner(known),
            Err(TryLockError::WouldBlock) => return Arc::new(Shims::find()),
        };
        known.get_or_insert_with(|| Arc::new(Shims::find())).clone()
    }
}

impl Shims {
    /// Finds them by allocating from functions whose place is known. Where all shims are inlined there are none.
    pub(super) fn find() -> Self {
        let _own = Suspended::new();
        let probes: [fn(&mut Vec<u8>); 3] = [allocate, allocate_zeroed, reallocate];
        let between = probes.into_iter().flat_map(|probe| {
            let mut bytes = vec![1; 64];
            let stack = stack_of_allocation(|| probe(&mut bytes));
            let starts: Vec<usize> = stack
                .iter()
                .flat_map(|stack| stack.frames())
                .filter_map(|frame| function_start(*frame))
                .collect();
            // A stack in which the probe itself cannot be found proves nothing.
            let own = starts
                .iter()
                .position(|start| *start == probe as usize)
                .unwrap_or(0);
            starts.into_iter().take(own)
        });
        Shims(between.collect())
    }

    pub(super) fn contains(&self, frame: ReturnAddress) -> bool {
        !self.0.is_empty() && function_start(frame).is_some_and(|start| self.0.contains(&start))
    }
}

#[inline(never)]
fn allocate(into: &mut Vec<u8>) {
    *into = Vec::with_capacity(black_box(64));
}

#[inline(never)]
fn allocate_zeroed(into: &mut Vec<u8>) {
    *into = vec![0; black_box(64)];
}

#[inline(never)]
fn reallocate(grown: &mut Vec<u8>) {
    grown.reserve_exact(black_box(4096));
}
