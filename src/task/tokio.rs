//! `spawn`: tokio's, tracked.

use std::borrow::Cow;

use tokio::task::JoinHandle;

use super::tracked::{Registration, Tracked};
use crate::stack::OwnFrame;

/// `tokio::spawn` of a future that is tracked: see [`track`](super::track).
///
/// # Panics
/// As `tokio::spawn`: outside a runtime.
#[inline(never)]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let marker = 0_u8;
    let registration = Registration::new(None, OwnFrame::of(&marker));
    tokio::spawn(Tracked::new(future, registration))
}

/// [`spawn`] with the name that the profile's label `task` has; the first 100 bytes of it.
///
/// # Panics
/// As `tokio::spawn`: outside a runtime.
#[inline(never)]
#[track_caller]
pub fn spawn_named<F>(name: impl Into<Cow<'static, str>>, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let marker = 0_u8;
    let registration = Registration::new(Some(name.into()), OwnFrame::of(&marker));
    tokio::spawn(Tracked::new(future, registration))
}
