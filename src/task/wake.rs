//! The wakers that tracked futures are handed: they wake the executor's, are counted, and tell on who clones them when the task
//! is asked.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::known::Task;
use super::probe;
use crate::stack::OwnFrame;

/// What a waker of a task points to. Another is made when the executor hands down another waker.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) task: Arc<Task>,
    /// The executor's.
    pub(super) inner: Waker,
}

/// Of the wakers that futures keep.
static KEPT: RawWakerVTable = RawWakerVTable::new(clone_kept, wake_kept, wake_by_ref, drop_kept);

/// Of the waker that is lent for a poll that is asked. Another table makes another waker of it, by `Waker::will_wake`. Its
/// clones are of the first kind, so that each time it is one that was not seen before.
static ASKING: RawWakerVTable =
    RawWakerVTable::new(clone_asking, wake_asking, wake_by_ref, drop_asking);

impl Handle {
    /// A waker that is counted.
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        self.task.wakers.fetch_add(1, Ordering::Relaxed);
        let data = Arc::into_raw(Arc::clone(self)).cast();
        // SAFETY: the functions of the table take `data` for a counted reference to a `Handle`, which it is, and each treats
        // that as `RawWakerVTable` says. A `Handle` can be used by any thread: it is Send and Sync.
        unsafe { Waker::new(data, &KEPT) }
    }

    /// A waker whose clones tell where they are made.
    pub(super) fn asking_waker(self: &Arc<Self>) -> Waker {
        let data = Arc::into_raw(Arc::clone(self)).cast();
        // SAFETY: as above.
        unsafe { Waker::new(data, &ASKING) }
    }

    fn wake(&self) {
        // Before, so that the poll which this leads to clears it again.
        self.task.is_woken.store(true, Ordering::Relaxed);
        self.inner.wake_by_ref();
    }
}

/// Takes a waker out of the count when it is dropped, also if the executor's panics.
struct Counted(Arc<Handle>);

impl Drop for Counted {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `Task::is_lost`.
        self.0.task.wakers.fetch_sub(1, Ordering::Release);
    }
}

/// # Safety
/// * `data` comes from `Arc<Handle>::into_raw`, and the reference that it stands for is the caller's for as long as this is used.
unsafe fn borrowed(data: *const ()) -> ManuallyDrop<Arc<Handle>> {
    // SAFETY: by the caller; the reference is not given back, so it stays the caller's.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast()) })
}

/// # Safety
/// * `data` comes from `Arc<Handle>::into_raw`, and the caller gives up the reference that it stands for.
unsafe fn taken(data: *const ()) -> Arc<Handle> {
    // SAFETY: by the caller.
    unsafe { Arc::from_raw(data.cast()) }
}

/// # Safety
/// * `data` is that of a waker that is borrowed, as in each function of a table whose waker lives on.
unsafe fn clone_kept(data: *const ()) -> RawWaker {
    // SAFETY: by the caller.
    let handle = unsafe { borrowed(data) };
    handle.task.wakers.fetch_add(1, Ordering::Relaxed);
    RawWaker::new(Arc::into_raw(Arc::clone(&handle)).cast(), &KEPT)
}

/// # Safety
/// * As of `clone_kept`.
#[inline(never)]
unsafe fn clone_asking(data: *const ()) -> RawWaker {
    let marker = 0_u8;
    // SAFETY: by the caller.
    let handle = unsafe { borrowed(data) };
    probe::cloned(&handle.task, OwnFrame::of(&marker));
    // SAFETY: by the caller.
    unsafe { clone_kept(data) }
}

/// # Safety
/// * As of `clone_kept`.
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: by the caller.
    unsafe { borrowed(data) }.wake();
}

/// # Safety
/// * `data` is that of a waker which is at its end.
unsafe fn wake_kept(data: *const ()) {
    // SAFETY: by the caller.
    let counted = Counted(unsafe { taken(data) });
    counted.0.wake();
}

/// # Safety
/// * As of `wake_kept`.
unsafe fn drop_kept(data: *const ()) {
    // SAFETY: by the caller.
    drop(Counted(unsafe { taken(data) }));
}

/// # Safety
/// * As of `wake_kept`.
unsafe fn wake_asking(data: *const ()) {
    // SAFETY: by the caller.
    unsafe { taken(data) }.wake();
}

/// # Safety
/// * As of `wake_kept`.
unsafe fn drop_asking(data: *const ()) {
    // SAFETY: by the caller.
    drop(unsafe { taken(data) });
}
