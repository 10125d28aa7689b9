//! What callers and the keep-warm task run: they decide, start a fetch if one is due, wait for it, and decide again.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::{self, Either};

use crate::clock::{Clock, TimePoint};
use crate::error::{Cause, Error};
use crate::event::Event;
use crate::fetch;
use crate::inner::{Inner, Locked};
use crate::pending::PendingFetch;
use crate::rt::{Runtime, Task, lock};
use crate::state::{Decision, FetchOutcome, KeepWarm, State};

/// A decision, the fetch that it refers to, and whether that fetch was started with it.
type Decided<D> = (D, Arc<PendingFetch>, bool);

impl<T: Send + Sync + 'static> Inner<T> {
    /// For a caller whom the snapshot could not serve.
    pub(crate) async fn get(self: &Arc<Self>, min_remaining: Duration) -> Result<Arc<T>, Error> {
        loop {
            let can_fetch = self.runtime().is_some();
            let decided = self.decide(|state, now| state.get(now, min_remaining, can_fetch));
            let (outcome, started) = match self.carry_out(decided).await {
                ControlFlow::Continue(waited) => waited,
                ControlFlow::Break(result) => return result,
            };
            if let Some(token) = self.read_servable(min_remaining, Arc::clone) {
                return Ok(token);
            }
            match (outcome, self.read_state(|state, now| state.fallback(now, min_remaining))) {
                (_, Some(Ok(token))) => return Ok(token),
                (Some(FetchOutcome::Succeeded), Some(Err(too_short))) => return Err(too_short),
                (Some(FetchOutcome::Failed(error)), _) => return Err(error),
                // The runtime of this caller is shutting down: it would drop the next fetch too.
                (Some(FetchOutcome::Lost), _) if started => return Err(Cause::NoRuntime.into()),
                // Another fetch may help.
                (Some(FetchOutcome::Succeeded | FetchOutcome::Discarded | FetchOutcome::Lost) | None, _) => {}
            }
        }
    }

    /// Fetches a new token, within the pacing.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<Arc<T>, Error> {
        loop {
            let can_fetch = self.runtime().is_some();
            let decided = self.decide(|state, now| state.refresh(now, can_fetch));
            let (outcome, started) = match self.carry_out(decided).await {
                ControlFlow::Continue(waited) => waited,
                ControlFlow::Break(result) => return result,
            };
            match outcome {
                // Another decision could start another fetch.
                Some(FetchOutcome::Succeeded) => match self.peek() {
                    Some(token) => return Ok(token),
                    None => return self.get(Duration::ZERO).await,
                },
                Some(FetchOutcome::Failed(error)) => return Err(error),
                Some(FetchOutcome::Lost) if started => return Err(Cause::NoRuntime.into()),
                Some(FetchOutcome::Discarded | FetchOutcome::Lost) | None => {}
            }
        }
    }

    /// Returns a result, or the outcome of the fetch that was waited for: none if that still runs.
    async fn carry_out(
        self: &Arc<Self>,
        (decision, pending, started): Decided<Decision<T>>,
    ) -> ControlFlow<Result<Arc<T>, Error>, (Option<FetchOutcome>, bool)> {
        // After the decision, which records the access.
        self.ensure_kept_warm();
        match decision {
            Decision::Serve(token) => ControlFlow::Break(Ok(token)),
            Decision::Fail(error) => ControlFlow::Break(Err(error)),
            Decision::Wait { soft_deadline, hard_deadline } => {
                ControlFlow::Continue((self.wait(&pending, soft_deadline, hard_deadline).await, started))
            }
        }
    }

    /// Starts the keep-warm task if it is configured and does not run.
    pub(crate) fn ensure_kept_warm(self: &Arc<Self>) {
        if self.setup.config.keep_warm.is_none() {
            return;
        }
        let mut task = lock(&self.keep_warm_task);
        if task.as_ref().is_none_or(Task::is_finished)
            && let Some(runtime) = self.runtime()
        {
            *task = Some(runtime.spawn(Self::run_keep_warm(Arc::downgrade(self))));
        }
    }

    /// Holds no handle while it waits, so that it ends with the last one.
    async fn run_keep_warm(inner: Weak<Self>) {
        while let Some(inner) = inner.upgrade() {
            match inner.decide(State::keep_warm) {
                (KeepWarm::Wait, pending, _) => {
                    drop(inner);
                    pending.outcome.wait().await;
                }
                (KeepWarm::Sleep(until), ..) => {
                    let sleep = inner.clock.sleep_until(until);
                    drop(inner);
                    sleep.await;
                }
                (KeepWarm::Stop, ..) => return,
            }
        }
    }

    fn decide<D>(self: &Arc<Self>, decide: impl FnOnce(&mut State<T>, TimePoint) -> D) -> Decided<D> {
        let (overdue, decision, pending, started) = self.update(|locked, now| {
            let overdue = self.fail_overdue(locked, now);
            let decision = decide(&mut locked.state, now);
            let new = locked.state.in_flight().filter(|in_flight| in_flight.id != locked.pending.id);
            if let Some(in_flight) = new {
                locked.pending = Arc::new(PendingFetch::new(in_flight.id, in_flight.reason, in_flight.not_before));
            }
            (overdue, decision, Arc::clone(&locked.pending), new.is_some())
        });
        self.report_overdue(overdue);
        if started {
            fetch::spawn(self, &pending);
        }
        (decision, pending, started)
    }

    /// Waits for the outcome of a fetch, or until a deadline.
    async fn wait(
        &self,
        pending: &PendingFetch,
        soft_deadline: Option<Duration>,
        hard_deadline: Duration,
    ) -> Option<FetchOutcome> {
        let until = match (soft_deadline, Runtime::current()) {
            (Some(soft_deadline), _) => soft_deadline.min(hard_deadline),
            // The fetch may be in a runtime that is not driven any more.
            (None, Some(current)) if !pending.is_on(&current) => hard_deadline,
            (None, _) => return Some(pending.outcome.wait().await.clone()),
        };
        // Boxed: most callers do not need it, and many may wait.
        Box::pin(self.wait_until(pending, until)).await
    }

    async fn wait_until(&self, pending: &PendingFetch, until: Duration) -> Option<FetchOutcome> {
        let sleep = || self.clock.sleep_until(until);
        let timer = match (Runtime::current(), &self.setup.runtime) {
            (None, Some(runtime)) => runtime.enter(sleep),
            _ => sleep(),
        };
        if let Either::Left((outcome, _)) = future::select(pin!(pending.outcome.wait()), timer).await {
            return Some(outcome.clone());
        }
        // The fetch is overdue, or no caller waits for it any more and the snapshot has to say so.
        let overdue = self.update(|locked, now| self.fail_overdue(locked, now));
        self.report_overdue(overdue);
        pending.outcome.get().cloned()
    }

    /// Fails the current fetch if it has timed out and its runtime may not be driven any more. A fetch in the runtime of the
    /// caller notices its timeout itself.
    fn fail_overdue(&self, locked: &mut Locked<T>, now: TimePoint) -> Option<(Arc<PendingFetch>, Error, u32)> {
        if Runtime::current().is_none_or(|current| locked.pending.is_on(&current)) {
            return None;
        }
        let error = locked.state.fail_overdue(now, &self.setup.jitter_sample)?;
        Some((Arc::clone(&locked.pending), error, locked.state.failures()))
    }

    fn report_overdue(&self, overdue: Option<(Arc<PendingFetch>, Error, u32)>) {
        if let Some((pending, error, failures)) = overdue {
            pending.abort();
            pending.complete(FetchOutcome::Failed(error.clone()));
            self.emit(&Event::FetchFailed { error, failures, took: self.setup.config.fetch_timeout });
        }
    }
}
