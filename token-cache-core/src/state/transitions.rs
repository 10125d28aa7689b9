//! How the state changes: a fetch starts and ends, a token is invalidated.

use std::sync::Arc;
use std::time::Duration;

use super::{Entry, Failure, FetchId, InFlight, State};
use crate::clock::TimePoint;
use crate::error::{Cause, Error};
use crate::token::TemporaryToken;

/// How a fetch ended.
#[derive(Clone, Debug)]
pub(crate) enum FetchOutcome {
    /// Its token is stored.
    Succeeded,
    Failed(Error),
    /// It may have returned a token that was invalidated while it ran.
    Discarded,
    /// Its task was dropped. Nothing is known about the source.
    Lost,
}

/// Whether two tokens are the same.
pub(crate) type TokenEq<T> = Box<dyn Fn(&T, &T) -> bool + Send + Sync>;

impl<T> State<T> {
    /// The fetch starts, unless it was abandoned.
    pub(crate) fn begin(&mut self, id: FetchId, now: TimePoint) -> bool {
        let Some(in_flight) = self.in_flight.as_mut().filter(|in_flight| in_flight.id == id) else { return false };
        in_flight.started = Some(now.monotonic);
        self.last_start = Some(now.monotonic);
        true
    }

    /// The fetch, which started at `started`, has ended.
    pub(crate) fn complete(
        &mut self,
        id: FetchId,
        started: TimePoint,
        now: TimePoint,
        result: Result<TemporaryToken<T>, Error>,
        jitter_sample: f64,
    ) -> FetchOutcome {
        let Some(InFlight { started_before_invalidation, .. }) = self.take_in_flight(id) else {
            return FetchOutcome::Lost;
        };
        let entry = result.and_then(|token| Entry::new(&self.config, token, started, now, jitter_sample));
        let entry = entry.and_then(|entry| match (&self.rejected, &self.token_eq) {
            (Some(rejected), Some(eq)) if eq(rejected, &entry.token) => Err(Cause::Rejected.into()),
            _ => Ok(entry),
        });
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return FetchOutcome::Failed(self.record_failure(now, error, jitter_sample)),
        };
        self.failure = None;
        if started_before_invalidation && self.token_eq.is_none() {
            return FetchOutcome::Discarded;
        }
        self.generation += 1;
        self.invalidated = false;
        self.rejected = None;
        self.entry = Some(entry);
        FetchOutcome::Succeeded
    }

    /// The task of the fetch was dropped.
    pub(crate) fn abandon(&mut self, id: FetchId) {
        self.take_in_flight(id);
    }

    /// Fails the current fetch if it has timed out. Its own timer does that, unless its runtime is not driven any more.
    pub(crate) fn fail_overdue(&mut self, now: TimePoint, jitter_sample: impl FnOnce() -> f64) -> Option<Error> {
        let overdue = |in_flight: &mut InFlight| now.monotonic >= in_flight.hard_deadline(&self.config);
        let in_flight = self.in_flight.take_if(overdue)?;
        self.last_start = Some(in_flight.started.unwrap_or(now.monotonic));
        let error = Cause::TimedOut(self.config.fetch_timeout).into();
        Some(self.record_failure(now, error, jitter_sample()))
    }

    /// Removes `token` if it is the stored one, and returns its generation.
    pub(crate) fn invalidate(&mut self, token: &Arc<T>) -> Option<u64> {
        let entry = self.entry.take_if(|entry| Arc::ptr_eq(&entry.token, token))?;
        self.invalidated = true;
        self.rejected = self.token_eq.is_some().then_some(entry.token);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.started_before_invalidation = in_flight.started.is_some();
        }
        if let Some(failure) = &mut self.failure {
            // Without a token the backoff is shorter. It must not end later than callers were told.
            let backoff =
                self.config.backoff(failure.consecutive_failures, Some(Duration::ZERO), failure.jitter_sample);
            failure.backoff_end = failure.backoff_end.min(failure.at.saturating_add(backoff));
        }
        Some(self.generation)
    }

    /// Returns the error together with the time of the next attempt.
    fn record_failure(&mut self, now: TimePoint, error: Error, jitter_sample: f64) -> Error {
        let consecutive_failures = self.failures().saturating_add(1);
        let remaining = self.entry.as_ref().map_or(Some(Duration::ZERO), |entry| entry.expires.remaining(now));
        let backoff = self.config.backoff(consecutive_failures, remaining, jitter_sample);
        let (at, backoff_end) = (now.monotonic, now.monotonic.saturating_add(backoff));
        self.failure = Some(Failure { error: error.clone(), at, consecutive_failures, jitter_sample, backoff_end });
        self.last_start.get_or_insert(now.monotonic);
        error.with_retry_after(self.next_attempt().saturating_sub(now.monotonic))
    }

    fn take_in_flight(&mut self, id: FetchId) -> Option<InFlight> {
        self.in_flight.take_if(|in_flight| in_flight.id == id)
    }
}
