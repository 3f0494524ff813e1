//! `TowerLayer`: tracks the future of each request.

use std::borrow::Cow;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::tracked::{Registration, Tracked};
use crate::stack::OwnFrame;

/// A layer for tower's services that tracks each request's future, all under one name.
///
/// ```
/// use debug_pprof::task::TowerLayer;
///
/// let layer = TowerLayer::named("request");
/// // axum: Router::new().route(…).layer(layer)
/// # drop(layer);
/// ```
#[derive(Debug, Clone)]
pub struct TowerLayer {
    name: Cow<'static, str>,
}

impl TowerLayer {
    /// The name is what the profile's label `task` has; the first 100 bytes of it.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }
}

impl<S> Layer<S> for TowerLayer {
    type Service = TrackedService<S>;

    fn layer(&self, inner: S) -> TrackedService<S> {
        TrackedService {
            inner,
            name: self.name.clone(),
        }
    }
}

/// A service whose futures are tracked: what [`TowerLayer`] makes of one.
#[derive(Debug, Clone)]
pub struct TrackedService<S> {
    inner: S,
    name: Cow<'static, str>,
}

impl<R, S: Service<R>> Service<R> for TrackedService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Tracked<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(never)]
    fn call(&mut self, request: R) -> Self::Future {
        let marker = 0_u8;
        let registration = Registration::new(Some(self.name.clone()), OwnFrame::of(&marker));
        Tracked::new(self.inner.call(request), registration)
    }
}
