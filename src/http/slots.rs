//! `Slots`: a number of places, each held by a `Permit`, for whatever may exist only so many times at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fixed number of places.
#[derive(Debug)]
pub(super) struct Slots {
    /// Permits in existence. A count and nothing else: it publishes no memory, so Relaxed is enough.
    taken: AtomicUsize,
    places: usize,
}

/// One place, given back on drop.
#[derive(Debug)]
pub(super) struct Permit(Arc<Slots>);

impl Slots {
    pub(super) fn new(places: usize) -> Arc<Slots> {
        Arc::new(Slots {
            taken: AtomicUsize::new(0),
            places,
        })
    }

    /// A place, or `None` if all are taken. Never waits.
    pub(super) fn try_take(self: &Arc<Slots>) -> Option<Permit> {
        let below_limit = |taken: usize| (taken < self.places).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below_limit)
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn a_place_is_free_again_when_its_permit_is_dropped() {
        let slots = Slots::new(2);
        let first = slots.try_take();
        let second = slots.try_take();
        assert!(first.is_some() && second.is_some());
        assert!(slots.try_take().is_none());
        drop(first);
        assert!(slots.try_take().is_some());
        assert!(Slots::new(0).try_take().is_none());
    }
}
