//! The inner allocator's own view of its memory, for those that have one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::glibc::Glibc;
use crate::record::{self, Suspended};

/// What the inner allocator says of its memory, in bytes. None where it does not say.
///
/// ```text
/// mapped:  │  active: │ in use │ idle  │  idle, metadata  │ released │
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocatorView {
    /// In blocks that are allocated, sizes as the allocator rounds them up. All its blocks: those of C code too, if that
    /// has the same allocator.
    pub in_use: Option<u64>,
    /// Address space that it holds.
    pub mapped: Option<u64>,
    /// In pages with blocks that are allocated, what is free between those included.
    pub active: Option<u64>,
    /// Held, in physical memory perhaps, and in no allocated block: caches and fragmentation.
    pub idle: Option<u64>,
    /// Given back to the system, address space kept.
    pub released: Option<u64>,
    /// The allocator's own tables.
    pub metadata: Option<u64>,
}

/// An allocator that knows about its memory. To be implemented for an inner allocator that this crate does not know.
///
/// ```
/// use debug_pprof::stats::{self, AllocatorView, ViewedAllocator};
///
/// struct Arenas;
///
/// impl ViewedAllocator for Arenas {
///     fn name(&self) -> &'static str {
///         "arenas"
///     }
///
///     fn view(&self) -> Option<AllocatorView> {
///         let mut view = AllocatorView::default();
///         view.mapped = Some(64 << 20);
///         Some(view)
///     }
/// }
///
/// stats::set_allocator_view(&Arenas);
/// let (name, view) = stats::allocator_view().expect("registered");
/// assert_eq!((name, view.mapped), ("arenas", Some(64 << 20)));
/// ```
pub trait ViewedAllocator: Sync {
    /// One lower-case word.
    fn name(&self) -> &'static str;

    /// Reads it now. Never called inside an allocation; may allocate, and take the time of a scrape.
    fn view(&self) -> Option<AllocatorView>;
}

/// Who is asked, and what was answered.
struct Views {
    allocator: Option<&'static dyn ViewedAllocator>,
    last: Option<(Instant, Option<AllocatorView>)>,
}

/// Protects who is asked, not the asking.
static VIEWS: Mutex<Views> = Mutex::new(Views {
    allocator: None,
    last: None,
});

/// How long an answer is good. glibc and jemalloc visit every arena for one; Prometheus asks every few seconds.
const KEPT: Duration = Duration::from_secs(1);

/// Names the allocator that [`allocator_view`] asks, in place of any before it: the one that
/// [`ProfiledAllocator`](crate::ProfiledAllocator) wraps. [`ProfiledAllocator::system`](crate::ProfiledAllocator::system)
/// needs no such call with glibc.
pub fn set_allocator_view(allocator: &'static dyn ViewedAllocator) {
    let mut views = VIEWS.lock().unwrap_or_else(PoisonError::into_inner);
    *views = Views {
        allocator: Some(allocator),
        last: None,
    };
}

/// The allocator's name and what it says of its memory, not older than a second; None if none was named, or it does not
/// say. Not for signal handlers.
pub fn allocator_view() -> Option<(&'static str, AllocatorView)> {
    let _own = Suspended::new();
    let (allocator, last) = {
        // Never waited for: in a fork child its holder may not be there.
        let views = VIEWS.try_lock();
        let views = match views {
            Ok(views) => views,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        let default = record::wraps_the_system().then_some(&Glibc as &dyn ViewedAllocator);
        (views.allocator.or(default)?, views.last)
    };
    if let Some((read, view)) = last
        && read.elapsed() < KEPT
    {
        return Some((allocator.name(), view?));
    }
    let view = allocator.view();
    if let Ok(mut views) = VIEWS.try_lock() {
        let is_same = views
            .allocator
            .is_none_or(|now| std::ptr::addr_eq(now, allocator));
        if is_same {
            views.last = Some((Instant::now(), view));
        }
    }
    Some((allocator.name(), view?))
}
