//! The task of one fetch, and the guard that completes it if the task is dropped.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Weak};

use futures::FutureExt;
use futures::future::{self, Either};

use crate::clock::{Clock, TimePoint};
use crate::error::{Cause, Error};
use crate::event::Event;
use crate::inner::{Inner, Setup};
use crate::pending::PendingFetch;
use crate::state::FetchOutcome;
use crate::telemetry;
use crate::token::TemporaryToken;

/// Spawns the task of a fetch. Without a runtime the fetch is lost.
pub(crate) fn spawn<T: Send + Sync + 'static>(inner: &Arc<Inner<T>>, pending: &Arc<PendingFetch>) {
    // The task holds no handle, so that the cache can be dropped while it runs. The guard is created before the task, so
    // that a task that is dropped before its first poll is noticed too.
    let guard = FetchGuard { inner: Arc::downgrade(inner), pending: Arc::clone(pending), completed: false };
    if let Some(runtime) = inner.runtime() {
        // It is spawned once.
        let _ = pending.task.set(runtime.spawn(run_fetch(guard)));
    }
}

async fn run_fetch<T: Send + Sync + 'static>(guard: FetchGuard<T>) {
    let Some(setup) = guard.inner.upgrade().map(|inner| Arc::clone(&inner.setup)) else { return };
    let (clock, not_before) = (&setup.clock, guard.pending.not_before);
    if clock.now().monotonic() < not_before {
        clock.sleep_until(not_before).await;
    }
    let started = clock.now();
    if guard.begin(started) {
        let fetch = fetch_with_timeout(&setup, started);
        let result = telemetry::fetch(&setup.name, guard.pending.reason, fetch).await;
        guard.complete(started, result);
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
        Either::Left((Err(_), _)) => Err(Cause::Panicked.into()),
        Either::Right(((), _)) => Err(Cause::TimedOut(fetch_timeout).into()),
    }
}

/// Completes the fetch for its waiters, also if its task is dropped.
struct FetchGuard<T> {
    inner: Weak<Inner<T>>,
    pending: Arc<PendingFetch>,
    completed: bool,
}

impl<T> FetchGuard<T> {
    fn begin(&self, started: TimePoint) -> bool {
        let Some(inner) = self.inner.upgrade() else { return false };
        let begins = inner.update(|locked, _| locked.state.begin(self.pending.id, started));
        if begins {
            inner.emit(&Event::FetchStarted { reason: self.pending.reason });
        }
        begins
    }

    fn complete(mut self, started: TimePoint, result: Result<TemporaryToken<T>, Error>) {
        let Some(inner) = self.inner.upgrade() else { return };
        let jitter_sample = (inner.setup.jitter_sample)();
        let (outcome, status, took) = inner.update(|locked, now| {
            let outcome = locked.state.complete(self.pending.id, started, now, result, jitter_sample);
            (outcome, locked.state.status(now), now.monotonic().saturating_sub(started.monotonic()))
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
            // Without a result, or already reported.
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
            inner.update(|locked, _| locked.state.abandon(self.pending.id));
        }
        self.pending.complete(FetchOutcome::Lost);
    }
}
