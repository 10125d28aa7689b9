//! What callers and the keep-warm task run: they decide, start a fetch if one is due, wait for it, and decide again.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::{self, Either};

use crate::clock::{Clock, TimePoint};
use crate::config::KEEP_WARM_INTERVAL;
use crate::deadline::Deadline;
use crate::error::{Cause, Error};
use crate::event::Event;
use crate::fetch;
use crate::inner::{Inner, drop_quietly};
use crate::pending::PendingFetch;
use crate::rt::{Runtime, Task, block_on, in_async_task, lock};
use crate::state::{Decision, FetchOutcome, KeepWarm, State};

/// How a caller waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Async,
    /// It blocks its thread, and fetches elsewhere.
    Blocking,
}

/// The fetch that a caller has to wait for.
struct Waiting<T> {
    pending: Arc<PendingFetch<T>>,
    soft_deadline: Option<Duration>,
    /// Whether this caller has started the fetch.
    has_started: bool,
}

impl<T: Send + Sync + 'static> Inner<T> {
    /// For a caller whom the snapshot could not serve.
    pub(crate) async fn get(self: &Arc<Self>, mut min_remaining: Duration, caller: Caller) -> Result<Arc<T>, Error> {
        loop {
            // Many may wait, so nothing is kept in the future that it does not need: a `decision`, for example.
            let waiting = match self.decide(caller, |state, now, can_fetch| state.get(now, min_remaining, can_fetch)) {
                ControlFlow::Break(result) => return result,
                ControlFlow::Continue(waiting) => waiting,
            };
            let arrived = self.clock.now();
            let outcome = self.wait(&waiting, caller).await;
            if waiting.soft_deadline.is_some() {
                // This caller could use the stored token on arrival, and has only waited for a better one. Either has to be
                // valid until the end of what was required on arrival.
                min_remaining =
                    Deadline::after(arrived, min_remaining).remaining(self.clock.now()).unwrap_or(Duration::MAX);
            }
            let outcome = match outcome {
                Ok(Some(outcome)) => outcome,
                Ok(None) => continue,
                Err(would_block) => {
                    let usable = self.update(|locked, now| locked.state.fallback(now, min_remaining));
                    return usable.and_then(Result::ok).ok_or(would_block);
                }
            };
            if let Some(token) = self.hit_for(min_remaining) {
                return Ok(token);
            }
            // The token that the fetch has brought, even if another caller has rejected it since.
            if let FetchOutcome::Succeeded { token, expires } = outcome
                && expires.is_valid_for(min_remaining, self.clock.now())
            {
                return Ok(Arc::clone(token));
            }
            // An update, because this may be the first caller who gets an expired token.
            match (outcome, self.update(|locked, now| locked.state.fallback(now, min_remaining))) {
                (_, Some(Ok(token))) => return Ok(token),
                (FetchOutcome::Succeeded { .. }, Some(Err(too_short))) => return Err(too_short),
                (FetchOutcome::Failed(error), _) => return Err(error.clone()),
                (FetchOutcome::Lost, _) => self.check_runtime(&waiting, caller)?,
                // Another fetch may help.
                (FetchOutcome::Succeeded { .. } | FetchOutcome::Discarded, _) => {}
            }
        }
    }

    /// As [`get`](Self::get), on the thread of the caller.
    pub(crate) fn get_blocking(self: &Arc<Self>) -> Result<Arc<T>, Error> {
        block_on(self.get(Duration::ZERO, Caller::Blocking))
    }

    /// Fetches a new token, within the pacing.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<Arc<T>, Error> {
        loop {
            let decision = self.decide(Caller::Async, State::refresh);
            let waiting = match decision {
                ControlFlow::Break(result) => return result,
                ControlFlow::Continue(waiting) => waiting,
            };
            match self.wait(&waiting, Caller::Async).await? {
                Some(FetchOutcome::Succeeded { token, expires }) if expires.not_reached(self.clock.now()) => {
                    return Ok(Arc::clone(token));
                }
                // Another decision could start another fetch.
                Some(FetchOutcome::Succeeded { .. }) => return self.get(Duration::ZERO, Caller::Async).await,
                Some(FetchOutcome::Failed(error)) => return Err(error.clone()),
                Some(FetchOutcome::Lost) => self.check_runtime(&waiting, Caller::Async)?,
                Some(FetchOutcome::Discarded) | None => {}
            }
        }
    }

    /// Rejects `token` and waits for another one, while other callers still get it.
    pub(crate) async fn replace(self: &Arc<Self>, token: &Arc<T>) -> Result<Arc<T>, Error> {
        while let Some(stored) = self.stored_same(token) {
            let rejected = self.update(|locked, now| locked.state.reject(&stored, now))?;
            if let Some(generation) = rejected {
                self.emit(&Event::Invalidated { generation });
            }
            let decision = self.decide(Caller::Async, |state, now, can_fetch| match state.rejected() {
                Some(rejected) if Arc::ptr_eq(rejected, &stored) => state.replace(now, can_fetch),
                // There is another one already.
                _ => state.get(now, Duration::ZERO, can_fetch),
            });
            drop_quietly(stored);
            let waiting = match decision {
                ControlFlow::Break(result) => return result,
                ControlFlow::Continue(waiting) => waiting,
            };
            match self.wait(&waiting, Caller::Async).await? {
                // The issuer insists on it, or a caller has stored it again.
                Some(FetchOutcome::Succeeded { token: new, .. }) if self.is_same(token, new) => {
                    return Err(self.setup.error(Cause::Rejected));
                }
                Some(FetchOutcome::Succeeded { token, expires }) if expires.not_reached(self.clock.now()) => {
                    return Ok(Arc::clone(token));
                }
                Some(FetchOutcome::Failed(error)) => return Err(error.clone()),
                Some(FetchOutcome::Lost) => self.check_runtime(&waiting, Caller::Async)?,
                Some(FetchOutcome::Succeeded { .. } | FetchOutcome::Discarded) | None => {}
            }
        }
        let new = self.get(Duration::ZERO, Caller::Async).await?;
        if self.is_same(token, &new) { Err(self.setup.error(Cause::Rejected)) } else { Ok(new) }
    }

    /// Starts the keep-warm task if it is configured and does not run.
    pub(crate) fn ensure_kept_warm(self: &Arc<Self>) {
        if self.setup.config.keep_warm.is_none() {
            return;
        }
        let mut task = lock(&self.keep_warm_task);
        if task.as_ref().is_none_or(Task::is_finished)
            && let Some(runtime) = self.runtime(false)
        {
            *task = Some(runtime.spawn(Self::run_keep_warm(Arc::downgrade(self))));
        }
    }

    /// Holds no handle while it waits, so that it ends with the last one.
    async fn run_keep_warm(inner: Weak<Self>) {
        while let Some(inner) = inner.upgrade() {
            let has_subscribers = inner.generations.receiver_count() > 0;
            let runtime = inner.runtime(false);
            let (decision, pending, _) = inner.start(runtime, |state, now| state.keep_warm(now, has_subscribers));
            match (decision, pending) {
                (KeepWarm::Wait, Some(pending)) => {
                    let clock = inner.clock.clone();
                    drop(inner);
                    if let FetchOutcome::Lost = pending.outcome.wait().await {
                        // Its runtime is shutting down. If that is the runtime of this task too, the task ends here.
                        drop(pending);
                        clock.sleep_until(clock.now().monotonic().saturating_add(KEEP_WARM_INTERVAL)).await;
                    }
                }
                (KeepWarm::Sleep(until), _) => {
                    let sleep = inner.clock.sleep_until(until);
                    drop(inner);
                    sleep.await;
                }
                (KeepWarm::Stop | KeepWarm::Wait, _) => return,
            }
        }
    }

    /// Decides for a caller: a result, or a fetch to wait for.
    fn decide(
        self: &Arc<Self>,
        caller: Caller,
        decide: impl FnOnce(&mut State<T>, TimePoint, bool) -> Decision<T>,
    ) -> ControlFlow<Result<Arc<T>, Error>, Waiting<T>> {
        let runtime = self.runtime(caller == Caller::Blocking);
        let can_fetch = runtime.is_some();
        let (decision, pending, has_started) = self.start(runtime, |state, now| decide(state, now, can_fetch));
        // After the decision, which records the access.
        self.ensure_kept_warm();
        match (decision, pending) {
            (Decision::Serve(token), _) => ControlFlow::Break(Ok(token)),
            (Decision::Fail(error), _) => ControlFlow::Break(Err(error)),
            (Decision::Wait { soft_deadline }, Some(pending)) => {
                if let (Some(turn), None) = (&pending.turn, soft_deadline) {
                    turn.make_urgent();
                }
                ControlFlow::Continue(Waiting { pending, soft_deadline, has_started })
            }
            // Only while a fetch is in flight there is a decision to wait.
            (Decision::Wait { .. }, None) => ControlFlow::Break(Err(self.setup.error(Cause::NoRuntime))),
        }
    }

    /// Makes a decision, and spawns the fetch that it starts.
    fn start<D>(
        self: &Arc<Self>,
        runtime: Option<Runtime>,
        decide: impl FnOnce(&mut State<T>, TimePoint) -> D,
    ) -> (D, Option<Arc<PendingFetch<T>>>, bool) {
        let (decision, pending, starts, lost) = self.update(|locked, now| {
            // After a fork nothing runs it.
            let lost = locked.pending.take_if(|pending| pending.is_of_another_process());
            if let Some(lost) = &lost {
                locked.state.abandon(lost.id);
            }
            let decision = decide(&mut locked.state, now);
            let current = locked.pending.as_ref().map(|pending| pending.id);
            let new = locked.state.in_flight().filter(|in_flight| current != Some(in_flight.id));
            if let Some(in_flight) = new {
                let turn = self.setup.limiter.as_ref().map(|_| Arc::default());
                locked.pending = Some(Arc::new(PendingFetch::new(in_flight, turn)));
            }
            (decision, locked.pending.clone(), new.is_some(), lost)
        });
        if let Some(lost) = lost {
            lost.abort();
        }
        let started = if let (Some(pending), true, Some(runtime)) = (&pending, starts, runtime) {
            fetch::spawn(self, pending, &runtime);
            true
        } else {
            false
        };
        (decision, pending, started)
    }

    /// Waits for the outcome of a fetch. `None` once the soft deadline is reached.
    async fn wait<'a>(&self, waiting: &'a Waiting<T>, caller: Caller) -> Result<Option<&'a FetchOutcome<T>>, Error> {
        let outcome = &waiting.pending.outcome;
        if caller == Caller::Blocking && outcome.get().is_none() && in_async_task() {
            return Err(self.setup.error(Cause::WouldBlock));
        }
        let Some(soft_deadline) = waiting.soft_deadline else { return Ok(Some(outcome.wait().await)) };
        // Boxed: most callers do not need it, and many may wait.
        let timed = Box::pin(async {
            match future::select(pin!(outcome.wait()), self.clock.sleep_until(soft_deadline)).await {
                Either::Left((outcome, _)) => Some(outcome),
                Either::Right(_) => outcome.get(),
            }
        });
        Ok(timed.await)
    }

    /// An error if another fetch of this caller would be lost too, because its runtime is shutting down.
    fn check_runtime(&self, waiting: &Waiting<T>, caller: Caller) -> Result<(), Error> {
        let can_retry = || {
            let runtime = self.runtime(caller == Caller::Blocking);
            runtime.is_some_and(|runtime| !waiting.pending.is_on(&runtime))
        };
        if !waiting.has_started || can_retry() { Ok(()) } else { Err(self.setup.error(Cause::NoRuntime)) }
    }
}
