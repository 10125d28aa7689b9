//! The task of one fetch, the guard that completes it if the task is dropped, and its watchdog.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, Either};
use tokio::sync::oneshot;

use crate::clock::{AnyClock, Clock, TimePoint};
use crate::error::{Cause, Error};
use crate::event::Event;
use crate::inner::{Inner, Setup, drop_quietly};
use crate::pending::PendingFetch;
use crate::rt::{Background, Runtime, grace_period, lock};
use crate::state::{FetchId, FetchOutcome, MAX_SLEEP, NewToken};
use crate::telemetry;
use crate::token::TemporaryToken;

/// Spawns the task of a fetch, and the watchdog that fails the fetch if its runtime does not run the task.
pub(crate) fn spawn<T: Send + Sync + 'static>(
    inner: &Arc<Inner<T>>,
    pending: &Arc<PendingFetch<T>>,
    runtime: &Runtime,
) {
    // The task holds no handle, so that the cache can be dropped while it runs. The guard is created before the task, so
    // that a task that is dropped before its first poll is noticed too.
    let guard = FetchGuard { inner: Arc::downgrade(inner), pending: Arc::clone(pending), completed: false };
    // Both are spawned once.
    let _ = pending.task.set(runtime.spawn(run_fetch(guard)));
    if let (Some(timers), Some(deadline)) = (Background::timers(), inner.hard_deadline(pending.id)) {
        let (watchdog, ended) = oneshot::channel();
        let _ = pending.watchdog.set(watchdog);
        timers.spawn(watch(Arc::downgrade(inner), inner.clock.clone(), pending.id, deadline, ended));
        lock(&inner.threads).timers = Some(timers);
    }
}

async fn run_fetch<T: Send + Sync + 'static>(guard: FetchGuard<T>) {
    let Some(setup) = guard.inner.upgrade().map(|inner| Arc::clone(&inner.setup)) else { return };
    let clock = &setup.clock;
    loop {
        let (now, not_before) = (clock.now(), guard.pending.not_before);
        if not_before.is_reached(now) {
            break;
        }
        // Not longer, because it may be reached on the other clock.
        clock.sleep_until(not_before.monotonic().min(now.monotonic().saturating_add(MAX_SLEEP))).await;
    }
    let turn = guard.wait_for_turn(&setup).await;
    let started = clock.now();
    if guard.begin(started) {
        let result = match turn {
            Ok(()) => {
                let fetch = fetch_with_timeout(&setup, started);
                telemetry::fetch(&setup.config.name, guard.pending.reason, fetch).await
            }
            Err(error) => Err(error),
        };
        guard.complete(started, result.and_then(|token| setup.new_token(token, started)));
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
        Either::Left((Ok(result), _)) => result.map_err(|error| Error::from_source(error, &setup.config.name)),
        Either::Left((Err(_), _)) => Err(setup.error(Cause::Panicked)),
        Either::Right(((), _)) => Err(setup.error(Cause::TimedOut(fetch_timeout))),
    }
}

/// Fails the fetch if it has timed out and its task does not notice: the runtime is blocked, for example, or not driven.
///
/// Runs in a thread of this crate. The task gets a grace period, because it usually does notice.
async fn watch<T: Send + Sync + 'static>(
    inner: Weak<Inner<T>>,
    clock: AnyClock,
    id: FetchId,
    mut deadline: Duration,
    ended: oneshot::Receiver<()>,
) {
    let overdue = async {
        loop {
            clock.sleep_until(deadline).await;
            grace_period().await;
            // A handle only now, when the fetch is overdue: the last one drops the source and the token.
            let Some(inner) = inner.upgrade() else { return };
            inner.fail_overdue(id);
            // It may have started late.
            let Some(next) = inner.hard_deadline(id) else { return };
            deadline = next;
        }
    };
    future::select(pin!(overdue), ended).await;
}

/// Completes the fetch for its waiters, also if its task is dropped.
struct FetchGuard<T> {
    inner: Weak<Inner<T>>,
    pending: Arc<PendingFetch<T>>,
    completed: bool,
}

impl<T: Send + Sync + 'static> FetchGuard<T> {
    /// Waits until the limits that the cache shares with others allow the fetch. An error if a caller has waited for that as
    /// long as for a fetch.
    async fn wait_for_turn(&self, setup: &Setup<T>) -> Result<(), Error> {
        let (Some(limiter), Some(turn)) = (&setup.limiter, &self.pending.turn) else { return Ok(()) };
        let (clock, timeout) = (&setup.clock, setup.config.fetch_timeout);
        let sleep = |duration: Duration| clock.sleep_until(clock.now().monotonic().saturating_add(duration));
        let too_late = async {
            turn.urgent().await;
            limiter.enqueue_urgent(turn);
            sleep(timeout).await;
        };
        let show_that_it_is_driven = async {
            loop {
                sleep((timeout / 2).max(MIN_POSTPONE)).await;
                if let Some(inner) = self.inner.upgrade() {
                    inner.update(|locked, now| locked.state.postpone(self.pending.id, now));
                }
            }
        };
        limiter.enqueue(turn);
        let (too_late, show_that_it_is_driven) = (pin!(too_late), pin!(show_that_it_is_driven));
        match future::select(pin!(turn.granted()), future::select(too_late, show_that_it_is_driven)).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => Err(setup.error(Cause::NoTurn(timeout))),
        }
    }
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

    fn complete(mut self, started: TimePoint, result: Result<NewToken<T>, Error>) {
        let Some(inner) = self.inner.upgrade() else { return };
        let jitter_sample = (inner.setup.jitter_sample)();
        let mut result = Some(result);
        let (outcome, status, took) = loop {
            // Compared without the lock, because that calls a function of the user.
            let comparable = inner.setup.token_eq.is_some();
            let rejected = if comparable { inner.read_state(|state, _| state.rejected().cloned()) } else { None };
            let may_be_rejected = may_be_rejected(&inner.setup, rejected.as_ref(), &mut result);
            let completed = inner.update(|locked, now| {
                let unchanged = locked.state.rejected().map(Arc::as_ptr) == rejected.as_ref().map(Arc::as_ptr);
                let result = if unchanged || !comparable { result.take() } else { None }?;
                let outcome = locked.state.complete(self.pending.id, now, result, may_be_rejected, jitter_sample);
                Some((outcome, locked.state.status(now), now.monotonic().saturating_sub(started.monotonic())))
            });
            drop_quietly(rejected);
            if let Some(completed) = completed {
                break completed;
            }
        };
        self.completed = true;
        let failure = match &outcome {
            FetchOutcome::Failed(error) => Some(error.clone()),
            // Without a result, or already reported.
            FetchOutcome::Discarded | FetchOutcome::Lost => return self.pending.complete(outcome),
            FetchOutcome::Succeeded { .. } => None,
        };
        // Before the event: a listener must not delay the waiters.
        self.pending.complete(outcome);
        let (generation, remaining, failures) = (status.generation, status.remaining, status.failures);
        match failure {
            Some(error) => inner.emit(&Event::FetchFailed { error, failures, took }),
            None => {
                inner.generations.send_replace(generation);
                inner.emit(&Event::FetchSucceeded { generation, remaining, took });
            }
        }
    }
}

/// Whether the token of a fetch may be the rejected one. If the function of the user panics, the fetch has failed.
fn may_be_rejected<T>(
    setup: &Setup<T>,
    rejected: Option<&Arc<T>>,
    result: &mut Option<Result<NewToken<T>, Error>>,
) -> bool {
    let (Some(rejected), Some(Ok(new))) = (rejected, &*result) else { return setup.token_eq.is_none() };
    match setup.are_same(rejected, &new.token) {
        Ok(same) => same.unwrap_or(true),
        Err(error) => {
            *result = Some(Err(error));
            false
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

/// How often a waiting fetch tells its watchdog that it is driven, if its timeout is shorter.
const MIN_POSTPONE: Duration = Duration::from_millis(10);
