//! How the state changes: a fetch starts and ends, a token is invalidated.

use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, Entry, Failure, FetchId, InFlight, State};
use crate::clock::TimePoint;
use crate::config::Config;
use crate::error::Error;
use crate::token::TemporaryToken;

/// What a fetch returned.
pub(crate) struct FetchResult<T> {
    pub(crate) started: TimePoint,
    pub(crate) token: Result<TemporaryToken<T>, Error>,
    /// From 0 to 1.
    pub(crate) jitter_sample: f64,
}

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
        let failure = self.last_attempt.take().and_then(|last| last.failure);
        self.last_attempt = Some(Attempt { started: now.monotonic, failure });
        true
    }

    /// The fetch has ended.
    pub(crate) fn complete(
        &mut self,
        config: &Config,
        token_eq: Option<&TokenEq<T>>,
        id: FetchId,
        now: TimePoint,
        result: FetchResult<T>,
    ) -> FetchOutcome {
        let Some(InFlight { started_before_invalidation, .. }) = self.take_in_flight(id) else {
            return FetchOutcome::Lost;
        };
        let FetchResult { started, token, jitter_sample } = result;
        let entry = token.and_then(|token| Entry::new(config, token, started, now, jitter_sample));
        let entry = entry.and_then(|entry| {
            let is_rejected = |rejected| token_eq.is_some_and(|eq| eq(rejected, &entry.token));
            if self.rejected.as_deref().is_some_and(is_rejected) { Err(Error::rejected()) } else { Ok(entry) }
        });
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return FetchOutcome::Failed(self.record_failure(config, now, error, jitter_sample)),
        };
        if let Some(last) = &mut self.last_attempt {
            last.failure = None;
        }
        if started_before_invalidation && token_eq.is_none() {
            return FetchOutcome::Discarded;
        }
        self.generation += 1;
        self.rejected = None;
        self.entry = Some(entry);
        FetchOutcome::Succeeded
    }

    /// The task of the fetch was dropped.
    pub(crate) fn abandon(&mut self, id: FetchId) {
        self.take_in_flight(id);
    }

    /// Whether the current fetch has timed out. Its own timer notices that, unless its runtime is not driven any more.
    pub(crate) fn is_overdue(&self, config: &Config, now: TimePoint) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| now.monotonic >= in_flight.hard_deadline(config))
    }

    /// Records the timeout of the current fetch.
    pub(crate) fn fail_overdue(&mut self, config: &Config, now: TimePoint, jitter_sample: f64) -> Option<Error> {
        let in_flight = self.in_flight.take()?;
        let failure = self.last_attempt.take().and_then(|last| last.failure);
        self.last_attempt = Some(Attempt { started: in_flight.started.unwrap_or(now.monotonic), failure });
        Some(self.record_failure(config, now, Error::timed_out(config.fetch_timeout), jitter_sample))
    }

    /// Removes `token` if it is the stored one, and returns its generation.
    pub(crate) fn invalidate(&mut self, config: &Config, token: &Arc<T>) -> Option<u64> {
        let entry = self.entry.take_if(|entry| Arc::ptr_eq(&entry.token, token))?;
        self.rejected = Some(entry.token);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.started_before_invalidation = in_flight.started.is_some();
        }
        if let Some(failure) = self.last_attempt.as_mut().and_then(|last| last.failure.as_mut()) {
            // Without a token the backoff is shorter. It must not end later than callers were told.
            let backoff = config.backoff(failure.consecutive_failures, Some(Duration::ZERO), failure.jitter_sample);
            failure.backoff_end = failure.backoff_end.min(failure.at.saturating_add(backoff));
        }
        Some(self.generation)
    }

    /// Returns the error together with the time of the next attempt.
    fn record_failure(&mut self, config: &Config, now: TimePoint, error: Error, jitter_sample: f64) -> Error {
        let consecutive_failures = self.failures().saturating_add(1);
        let remaining = self.entry.as_ref().map_or(Some(Duration::ZERO), |entry| entry.expires.remaining(now));
        let backoff = config.backoff(consecutive_failures, remaining, jitter_sample);
        let backoff_end = now.monotonic.saturating_add(backoff);
        let failure =
            Failure { error: error.clone(), at: now.monotonic, consecutive_failures, jitter_sample, backoff_end };
        self.last_attempt.get_or_insert(Attempt { started: now.monotonic, failure: None }).failure = Some(failure);
        error.with_retry_after(self.next_attempt(config).saturating_sub(now.monotonic))
    }

    fn take_in_flight(&mut self, id: FetchId) -> Option<InFlight> {
        self.in_flight.take_if(|in_flight| in_flight.id == id)
    }
}
