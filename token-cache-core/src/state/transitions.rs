//! How the state changes: a fetch starts and ends, a token is stored or rejected.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Turn;
use super::{Entry, Failure, FetchDue, FetchId, InFlight, NewToken, State};
use crate::clock::TimePoint;
use crate::deadline::Deadline;
use crate::error::{Cause, Error};
use crate::event::FetchReason;

/// How a fetch ended.
#[derive(Debug)]
pub(crate) enum FetchOutcome<T> {
    /// A token is stored: the one of the fetch or, if that does not live longer than a caller required, the previous one.
    Succeeded {
        token: Arc<T>,
        expires: Deadline,
    },
    Failed(Error),
    /// It may have returned a token that was rejected while it ran.
    Discarded,
    /// Its task was dropped. Nothing is known about the source.
    Lost,
}

impl<T> State<T> {
    /// The fetch starts, unless it was abandoned.
    pub(crate) fn begin(&mut self, id: FetchId, now: TimePoint) -> bool {
        let Some(in_flight) = self.in_flight.as_mut().filter(|in_flight| in_flight.id == id) else { return false };
        in_flight.started = Some(now);
        self.last_start = Some(now);
        true
    }

    /// The fetch cannot start before now.
    pub(crate) fn postpone(&mut self, id: FetchId, now: TimePoint) {
        if let Some(in_flight) = self.in_flight.as_mut().filter(|in_flight| in_flight.id == id) {
            in_flight.not_before = Deadline::after(now, Duration::ZERO);
        }
    }

    /// The fetch has ended. `may_be_rejected`: its token equals the rejected one, or tokens cannot be compared.
    pub(crate) fn complete(
        &mut self,
        id: FetchId,
        now: TimePoint,
        result: Result<NewToken<T>, Error>,
        may_be_rejected: bool,
        jitter_sample: f64,
    ) -> FetchOutcome<T> {
        let Some(in_flight) = self.in_flight.take_if(|in_flight| in_flight.id == id) else {
            self.displaced.tokens.extend(result.map(|new| new.token));
            return FetchOutcome::Lost;
        };
        let new = match result.and_then(|new| self.check_expiry(new, now)) {
            Ok(new) => new,
            Err(error) => return FetchOutcome::Failed(self.record_failure(now, error, jitter_sample)),
        };
        let after_failure = self.forget_failure();
        if in_flight.started_before_rejection && may_be_rejected {
            self.displaced.tokens.push(new.token);
            return FetchOutcome::Discarded;
        }
        self.last_lifetime = new.expires.remaining(now);
        // A caller required a longer remaining lifetime than that of a fresh token.
        if in_flight.reason == FetchReason::TooShort
            && matches!(self.freshness_row(now).fetch, FetchDue::No)
            && let Some(Entry { token, expires, .. }) =
                self.entry.as_ref().filter(|entry| !new.outlives(entry, Duration::ZERO, now))
        {
            self.displaced.tokens.push(new.token);
            return FetchOutcome::Succeeded { token: Arc::clone(token), expires: *expires };
        }
        let in_turn = in_flight.reason == FetchReason::NearExpiry && !after_failure;
        self.insert(new, now, in_turn, jitter_sample)
    }

    /// Stores a token that comes from elsewhere, as if a fetch had just returned it.
    pub(crate) fn store(
        &mut self,
        new: NewToken<T>,
        now: TimePoint,
        jitter_sample: f64,
    ) -> Result<FetchOutcome<T>, Error> {
        let new = self.check_expiry(new, now)?;
        self.in_flight = None;
        self.last_start = Some(now);
        self.forget_failure();
        Ok(self.insert(new, now, false, jitter_sample))
    }

    /// Stores the token that the cache is created with.
    pub(crate) fn seed(&mut self, new: NewToken<T>, now: TimePoint, jitter_sample: f64) {
        if let Ok(new) = self.check_expiry(new, now) {
            self.insert(new, now, false, jitter_sample);
        }
    }

    fn check_expiry(&mut self, new: NewToken<T>, now: TimePoint) -> Result<NewToken<T>, Error> {
        if new.expires.not_reached(now) {
            return Ok(new);
        }
        self.displaced.tokens.push(new.token);
        let (ago, expired_at) = (new.expires.elapsed(now), new.expires.wall());
        Err(self.error(Cause::AlreadyExpired { ago, expired_at, now: now.wall }))
    }

    fn insert(&mut self, new: NewToken<T>, now: TimePoint, in_turn: bool, jitter_sample: f64) -> FetchOutcome<T> {
        let repeated = self.entry.as_ref().is_some_and(|entry| !new.outlives(entry, ROUNDING, now));
        let entry = new.into_entry(&self.config, Turn { in_turn, repeated, jitter_sample }, now);
        let (token, expires) = (Arc::clone(&entry.token), entry.expires);
        self.generation += 1;
        self.invalidated = false;
        self.displaced.tokens.extend(self.rejected.take());
        self.displaced.tokens.extend(self.entry.replace(entry).map(|entry| entry.token));
        FetchOutcome::Succeeded { token, expires }
    }

    /// Forgets the tokens and the current fetch.
    #[cfg(feature = "keyed")]
    pub(crate) fn clear(&mut self) {
        self.in_flight = None;
        self.forget_failure();
        self.displaced.tokens.extend(self.rejected.take());
        self.displaced.tokens.extend(self.entry.take().map(|entry| entry.token));
    }

    /// The task of the fetch was dropped.
    pub(crate) fn abandon(&mut self, id: FetchId) {
        self.in_flight.take_if(|in_flight| in_flight.id == id);
    }

    /// Fails the current fetch if it has timed out. Its own timer does that, unless its task does not run.
    pub(crate) fn fail_overdue(&mut self, id: FetchId, now: TimePoint, jitter_sample: f64) -> Option<Error> {
        let overdue =
            |in_flight: &mut InFlight| in_flight.id == id && now.monotonic >= in_flight.hard_deadline(&self.config);
        let in_flight = self.in_flight.take_if(overdue)?;
        self.last_start = in_flight.started.or(Some(now));
        let cause = match in_flight.started {
            Some(_) => Cause::TimedOut(self.config.fetch_timeout),
            None => Cause::NotDriven(self.config.fetch_timeout),
        };
        Some(self.record_failure(now, self.error(cause), jitter_sample))
    }

    /// Removes `token` if it is the stored one and its rejection is accepted. Returns its generation.
    pub(crate) fn invalidate(&mut self, token: &Arc<T>, now: TimePoint) -> Option<u64> {
        let stored = self.entry.as_ref().filter(|entry| Arc::ptr_eq(&entry.token, token))?;
        if !stored.rejected {
            self.accept_rejection(now).ok()?;
        }
        let token = self.entry.take()?.token;
        self.invalidated = true;
        if self.comparable {
            self.rejected = Some(token)
        } else {
            self.displaced.tokens.push(token)
        }
        self.doubt_in_flight();
        Some(self.generation)
    }

    /// Marks the stored token as rejected, if it is `token` and the rejection is accepted: a fetch is due, and until it succeeds
    /// the token is returned to other callers. Returns the generation if it was not marked before.
    pub(crate) fn reject(&mut self, token: &Arc<T>, now: TimePoint) -> Result<Option<u64>, Error> {
        match self.entry.as_ref().filter(|entry| Arc::ptr_eq(&entry.token, token)) {
            Some(entry) if !entry.rejected => {}
            _ => return Ok(None),
        }
        self.accept_rejection(now).map_err(|wait| self.error(Cause::RejectedTooOften).with_retry_after(wait))?;
        self.doubt_in_flight();
        self.entry.iter_mut().for_each(|entry| entry.rejected = true);
        Ok(Some(self.generation))
    }

    /// The current fetch may return the token that was just rejected.
    fn doubt_in_flight(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.started_before_rejection = in_flight.started.is_some();
        }
    }

    /// Returns the error together with the time of the next attempt.
    fn record_failure(&mut self, now: TimePoint, error: Error, jitter_sample: f64) -> Error {
        let (first, failures) =
            self.failure.as_ref().map_or((now, 0), |failure| (failure.first, failure.consecutive_failures));
        self.forget_failure();
        self.failure = Some(Failure {
            retry_after: error.retry_after().unwrap_or_default(),
            error: error.clone(),
            at: now,
            first,
            consecutive_failures: failures.saturating_add(1),
            jitter_sample,
        });
        self.last_start.get_or_insert(now);
        error.with_retry_after(self.next_attempt(now).remaining(now).unwrap_or(Duration::MAX))
    }

    /// Returns whether the last fetch had failed.
    fn forget_failure(&mut self) -> bool {
        let failure = self.failure.take();
        let failed = failure.is_some();
        self.displaced.errors.extend(failure.map(|failure| failure.error));
        failed
    }
}

/// Issuers that state a lifetime in seconds round that of a repeated token.
const ROUNDING: Duration = Duration::from_secs(1);
