//! [`ReadyCheck`]: enforces the contract of `tower::Service::poll_ready`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::Request;
use token_cache_core::ReplayBody;
use tower::Service;

/// Panics on a call without a preceding `poll_ready`. A clone starts as not ready.
#[derive(Debug)]
pub(crate) struct ReadyCheck<S> {
    inner: S,
    ready: bool,
    polls: Arc<AtomicUsize>,
}

impl<S> ReadyCheck<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, ready: false, polls: Arc::default() }
    }

    /// How often `poll_ready` was called on this service and its clones.
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }
}

impl<S: Clone> Clone for ReadyCheck<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), ready: false, polls: Arc::clone(&self.polls) }
    }
}

impl<S: Service<Request<ReplayBody>>> Service<Request<ReplayBody>> for ReadyCheck<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.ready = true;
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReplayBody>) -> S::Future {
        assert!(std::mem::take(&mut self.ready), "called without poll_ready");
        self.inner.call(request)
    }
}
