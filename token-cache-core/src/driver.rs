//! What callers run: they carry out a decision, wait for a fetch, and decide again.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, Either};

use crate::error::Error;
use crate::inner::Inner;
use crate::pending::PendingFetch;
use crate::rt::Runtime;
use crate::state::{Decision, FetchOutcome, Request, Wait};

/// A fetch that a caller has waited for.
struct Waited {
    /// `None` if the fetch still runs.
    outcome: Option<FetchOutcome>,
    started_here: bool,
}

impl<T: Send + Sync + 'static> Inner<T> {
    /// For a caller whom the snapshot could not serve.
    pub(crate) async fn get(self: &Arc<Self>, min_remaining: Duration) -> Result<Arc<T>, Error> {
        loop {
            let request = Request { min_remaining, can_fetch: self.runtime().is_some() };
            let decision = self.decide(|state, config, now| state.get(config, now, request));
            let waited = match self.carry_out(decision).await {
                ControlFlow::Continue(waited) => waited,
                ControlFlow::Break(result) => return result,
            };
            if let Some(token) = self.read_servable(min_remaining, Arc::clone) {
                return Ok(token);
            }
            let fallback = self.read_state(|state, config, now| state.fallback(config, now, min_remaining));
            match (waited.outcome, fallback) {
                (_, Some(Ok(token))) => return Ok(token),
                (Some(FetchOutcome::Succeeded), Some(Err(too_short))) => return Err(too_short),
                (Some(FetchOutcome::Failed(error)), _) => return Err(error),
                // The runtime of this caller is shutting down: it would drop the next fetch too.
                (Some(FetchOutcome::Lost), _) if waited.started_here => return Err(Error::no_runtime()),
                // Another fetch may help.
                (Some(FetchOutcome::Succeeded | FetchOutcome::Discarded | FetchOutcome::Lost) | None, _) => {}
            }
        }
    }

    /// Fetches a new token, within the pacing.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<Arc<T>, Error> {
        loop {
            let can_fetch = self.runtime().is_some();
            let decision = self.decide(|state, config, now| state.refresh(config, now, can_fetch));
            let waited = match self.carry_out(decision).await {
                ControlFlow::Continue(waited) => waited,
                ControlFlow::Break(result) => return result,
            };
            match waited.outcome {
                // Another decision could start another fetch.
                Some(FetchOutcome::Succeeded) => match self.peek() {
                    Some(token) => return Ok(token),
                    None => return self.get(Duration::ZERO).await,
                },
                Some(FetchOutcome::Failed(error)) => return Err(error),
                Some(FetchOutcome::Lost) if waited.started_here => return Err(Error::no_runtime()),
                Some(FetchOutcome::Discarded | FetchOutcome::Lost) | None => {}
            }
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        (decision, pending): (Decision<T>, Arc<PendingFetch>),
    ) -> ControlFlow<Result<Arc<T>, Error>, Waited> {
        self.ensure_kept_warm();
        let (wait, started_here) = match decision {
            Decision::Serve(token) => return ControlFlow::Break(Ok(token)),
            Decision::ServeAndFetch(token, ticket) => {
                self.start_fetch(pending, ticket);
                return ControlFlow::Break(Ok(token));
            }
            Decision::Wait(wait) => (wait, false),
            Decision::FetchAndWait(ticket, wait) => {
                self.start_fetch(Arc::clone(&pending), ticket);
                (wait, true)
            }
            Decision::Fail(error) => return ControlFlow::Break(Err(error)),
        };
        ControlFlow::Continue(Waited { outcome: self.wait(&pending, wait).await, started_here })
    }

    /// Waits for the outcome of a fetch, or until the deadline.
    async fn wait(&self, pending: &PendingFetch, wait: Wait) -> Option<FetchOutcome> {
        let until = match wait.soft_deadline {
            Some(soft_deadline) => soft_deadline.min(wait.hard_deadline),
            None => match Runtime::current() {
                // The fetch may be in a runtime that is not driven any more.
                Some(current) if !pending.is_on(&current) => wait.hard_deadline,
                _ => return Some(pending.wait().await),
            },
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
        match future::select(pin!(pending.wait()), timer).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(((), _)) => {
                self.check_deadlines();
                pending.outcome()
            }
        }
    }
}
