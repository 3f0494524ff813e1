//! `Tracked`: the future around a task's own.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::TASKS;
use super::known::{Ask, Task};
use super::probe::Probing;
use super::registry::Place;
use super::wake::Handle;
use crate::record::Suspended;
use crate::stack::OwnFrame;

/// A future that is tracked: see [`track`](super::track). It is what the future is in all else, and ends as a task when it is
/// done or dropped.
#[must_use = "futures do nothing unless they are awaited or given to an executor"]
pub struct Tracked<F> {
    // Dropped in this order: while it is, the future is a task.
    future: F,
    /// None once it is done, or if there were too many.
    registration: Option<Registration>,
}

impl<F> Tracked<F> {
    pub(super) fn new(future: F, registration: Option<Registration>) -> Self {
        Self {
            future,
            registration,
        }
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is not moved out of what this returns: it is pinned again at once, and the registration, which
        // is not pinned, is another field.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the future is part of what is pinned; `Tracked` has no `drop` of its own that could move it, and is Unpin only
        // if the future is.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let outcome = match &mut this.registration {
            Some(registration) => registration.poll(future, cx),
            None => return future.poll(cx),
        };
        if outcome.is_ready() {
            this.registration = None;
        }
        outcome
    }
}

impl<F> fmt::Debug for Tracked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.registration.as_ref().map(|it| &it.task);
        f.debug_struct("Tracked")
            .field("id", &task.map(|task| task.id))
            .field("name", &task.and_then(|task| task.name.as_deref()))
            .finish_non_exhaustive()
    }
}

/// A future's place among the tasks, until it is dropped.
pub(super) struct Registration {
    task: Arc<Task>,
    place: Place,
    /// What the future is lent; None before the first poll.
    lent: Option<Lent>,
}

struct Lent {
    handle: Arc<Handle>,
    /// Of that handle, for as many polls as it lasts.
    waker: Waker,
}

impl Registration {
    /// None if there are too many. The function whose frame this is was called where the future is tracked.
    pub(super) fn new(name: Option<Cow<'static, str>>, own_frame: OwnFrame) -> Option<Self> {
        let _own = Suspended::new();
        let task = Arc::new(Task::new(TASKS.registry.next_id(), name, own_frame));
        let place = TASKS.registry.add(&task)?;
        Some(Self {
            task,
            place,
            lent: None,
        })
    }

    #[inline]
    fn poll<F: Future>(&mut self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.is_lent_for(cx.waker()) {
            self.lend(cx.waker());
        }
        let Some(lent) = &self.lent else {
            return future.poll(cx);
        };
        let ask = self.task.asked.load(Ordering::Relaxed);
        if ask != Ask::Nothing as u8 {
            return poll_asked(&self.task, ask, &lent.handle, future);
        }
        self.task.begin_poll();
        let _polled = Polled(&self.task);
        future.poll(&mut Context::from_waker(&lent.waker))
    }

    #[inline]
    fn is_lent_for(&self, waker: &Waker) -> bool {
        let lent = self.lent.as_ref();
        lent.is_some_and(|lent| lent.handle.inner.will_wake(waker))
    }

    /// From now on this waker of the executor's is woken.
    #[cold]
    fn lend(&mut self, waker: &Waker) {
        let inner = waker.clone();
        // What a task around this one is lent while it is asked looks new, and its clone does not.
        if self.is_lent_for(&inner) {
            return;
        }
        let _own = Suspended::new();
        let handle = Arc::new(Handle {
            task: Arc::clone(&self.task),
            inner,
        });
        let waker = handle.waker();
        let last = self.task.current.lock_soon().replace(Arc::clone(&handle));
        // Only now: their drop may be the end of the executor's, which is the program's code.
        drop(last);
        self.lent = Some(Lent { handle, waker });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.task.has_ended.store(true, Ordering::Relaxed);
        TASKS.registry.remove(&self.task, self.place);
        let last = self.task.current.lock_soon().take();
        drop(last);
    }
}

/// Until the poll ends, also by a panic.
struct Polled<'a>(&'a Task);

impl Drop for Polled<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.end_poll();
    }
}

/// A poll in which the future is to clone its waker: a function that is nobody else's, so that what it calls is the future's
/// own.
#[cold]
#[inline(never)]
fn poll_asked<T>(
    task: &Task,
    ask: u8,
    handle: &Arc<Handle>,
    future: Pin<&mut dyn Future<Output = T>>,
) -> Poll<T> {
    let marker = 0_u8;
    task.asked.store(Ask::Nothing as u8, Ordering::Relaxed);
    if task.is_woken.load(Ordering::Relaxed) || task.last_poll.load(Ordering::Relaxed) == 0 {
        // It would have been polled anyway.
        task.begin_poll();
    }
    task.is_polled.store(true, Ordering::Relaxed);
    let _polled = Polled(task);
    let waker = handle.asking_waker();
    let probing = Probing::begin(task, ask, OwnFrame::of(&marker));
    // Through the table of the trait object: not inlined, so that the future has a frame of its own.
    let future = std::hint::black_box(future);
    let outcome = future.poll(&mut Context::from_waker(&waker));
    if outcome.is_pending() {
        probing.settle();
    }
    outcome
}
