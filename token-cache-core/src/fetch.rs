//! The task of one fetch, and the guard that completes it if the task is dropped.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Weak};

use futures::FutureExt;
use futures::future::{self, Either};

use crate::clock::TimePoint;
use crate::error::Error;
use crate::event::{Event, FetchReason};
use crate::inner::{Inner, Setup};
use crate::pending::PendingFetch;
use crate::state::{FetchOutcome, FetchResult, FetchTicket};
use crate::telemetry;
use crate::token::TemporaryToken;

impl<T: Send + Sync + 'static> Inner<T> {
    /// Spawns the task of a fetch. Without a runtime the fetch is lost.
    pub(crate) fn start_fetch(self: &Arc<Self>, pending: Arc<PendingFetch>, ticket: FetchTicket) {
        // The task holds no handle, so that the cache can be dropped while the task runs.
        let task = run_fetch(Arc::downgrade(self), Arc::clone(&pending), ticket);
        if let Some(runtime) = self.runtime() {
            pending.set_task(runtime.spawn(task));
        }
    }
}

fn run_fetch<T: Send + Sync + 'static>(
    inner: Weak<Inner<T>>,
    pending: Arc<PendingFetch>,
    ticket: FetchTicket,
) -> impl Future<Output = ()> + Send + 'static {
    // Outside of the future, so that a task that is dropped before its first poll is noticed too.
    let guard = FetchGuard { inner, pending, completed: false };
    async move {
        let Some(setup) = guard.setup() else { return };
        if setup.clock.now().monotonic() < ticket.not_before {
            setup.clock.sleep_until(ticket.not_before).await;
        }
        let started = setup.clock.now();
        if !guard.begin(ticket.reason, started) {
            return;
        }
        let token = telemetry::fetch(&setup.name, ticket.reason, fetch_with_timeout(&setup, started)).await;
        guard.complete(started, token);
    }
}

/// Calls the source once, and turns a panic and a timeout into errors.
async fn fetch_with_timeout<T: Send + Sync + 'static>(
    setup: &Setup<T>,
    started: TimePoint,
) -> Result<TemporaryToken<T>, Error> {
    // Inside the block, because a source may panic before it returns its future.
    let fetch = AssertUnwindSafe(async { setup.source.fetch().await }).catch_unwind();
    let fetch_timeout = setup.config.fetch_timeout;
    let timeout = setup.clock.sleep_until(started.monotonic().saturating_add(fetch_timeout));
    match future::select(pin!(fetch), timeout).await {
        Either::Left((Ok(result), _)) => result.map_err(Error::from_source),
        Either::Left((Err(_), _)) => Err(Error::panicked()),
        Either::Right(((), _)) => Err(Error::timed_out(fetch_timeout)),
    }
}

/// Completes the fetch for its waiters, also if its task is dropped.
struct FetchGuard<T> {
    inner: Weak<Inner<T>>,
    pending: Arc<PendingFetch>,
    completed: bool,
}

impl<T> FetchGuard<T> {
    fn setup(&self) -> Option<Arc<Setup<T>>> {
        Some(Arc::clone(&self.inner.upgrade()?.setup))
    }

    fn begin(&self, reason: FetchReason, started: TimePoint) -> bool {
        let Some(inner) = self.inner.upgrade() else { return false };
        let begins = inner.update(|state, _, _| state.begin(self.pending.id, started));
        if begins {
            inner.emit(&Event::FetchStarted { reason });
        }
        begins
    }

    fn complete(mut self, started: TimePoint, token: Result<TemporaryToken<T>, Error>) {
        let Some(inner) = self.inner.upgrade() else { return };
        let result = FetchResult { started, token, jitter_sample: (inner.setup.jitter_sample)() };
        let (outcome, status, took) = inner.update(|state, config, now| {
            let outcome = state.complete(config, inner.setup.token_eq.as_ref(), self.pending.id, now, result);
            (outcome, state.status(config, now), now.monotonic().saturating_sub(started.monotonic()))
        });
        self.completed = true;
        // Before the event: a listener must not delay the waiters.
        self.pending.complete(outcome.clone());
        match outcome {
            FetchOutcome::Succeeded => {
                let (generation, remaining) = (status.generation, status.remaining);
                inner.generations.send_replace(generation);
                inner.emit(&Event::FetchSucceeded { generation, remaining, took });
            }
            FetchOutcome::Failed(error) => inner.emit(&Event::FetchFailed { error, failures: status.failures, took }),
            // Its failure was already reported, or it has no result.
            FetchOutcome::Discarded | FetchOutcome::Lost => {}
        }
    }
}

impl<T> Drop for FetchGuard<T> {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        if let Some(inner) = self.inner.upgrade() {
            inner.update(|state, _, _| state.abandon(self.pending.id));
        }
        self.pending.complete(FetchOutcome::Lost);
    }
}
