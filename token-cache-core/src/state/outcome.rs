//! What happens to a cache: a fetch begins and ends, or does not; a token is rejected.

use std::sync::Arc;
use std::time::Duration;

use super::{Airborne, Attempt, Failure, State, Stored};
use crate::clock::TimePoint;
use crate::error::Error;
use crate::flight::{Flight, Landing};
use crate::policy::Policy;
use crate::shared::Same;
use crate::token::TemporaryToken;

/// The end of a fetch.
pub(crate) struct Answer<T> {
    pub(crate) began: TimePoint,
    pub(crate) token: Result<TemporaryToken<T>, Error>,
    /// Between 0 and 1, for the jitter of what follows.
    pub(crate) draw: f64,
}

impl<T> State<T> {
    /// The fetch of `flight` begins, unless it has been given up.
    pub(crate) fn begin(&mut self, flight: &Arc<Flight>, now: TimePoint) -> bool {
        let Some(airborne) = self.airborne.as_mut().filter(|airborne| Arc::ptr_eq(&airborne.flight, flight)) else {
            return false;
        };
        airborne.began = Some(now.monotonic);
        let failure = self.last.take().and_then(|last| last.failure);
        self.last = Some(Attempt { began: now.monotonic, failure });
        true
    }

    /// The fetch of `flight` is over. `same` tells whether two tokens are the same.
    pub(crate) fn settle(
        &mut self,
        policy: &Policy,
        same: Option<&Same<T>>,
        flight: &Arc<Flight>,
        now: TimePoint,
        answer: Answer<T>,
    ) -> Landing {
        let Some(Airborne { doubted, .. }) = self.take_airborne(flight) else { return Landing::Lost };
        let Answer { began, token, draw } = answer;
        let stored = token.and_then(|token| Stored::new(policy, token, began, now, draw)).and_then(|stored| {
            let rejected = |rejected| same.is_some_and(|same| same(rejected, &stored.token));
            if self.rejected.as_deref().is_some_and(rejected) { Err(Error::rejected()) } else { Ok(stored) }
        });
        match stored {
            Err(error) => Landing::Failed(self.fail(policy, now, error, draw)),
            Ok(_) if doubted && same.is_none() => {
                self.succeed();
                Landing::Discarded
            }
            Ok(stored) => {
                self.succeed();
                self.generation += 1;
                self.rejected = None;
                self.stored = Some(stored);
                Landing::Succeeded
            }
        }
    }

    /// `flight` will not come to an end: its task is gone.
    pub(crate) fn give_up(&mut self, flight: &Arc<Flight>) {
        self.take_airborne(flight);
    }

    /// The flight that should have ended by itself and has not, if there is one: its runtime may not be driven.
    pub(crate) fn overdue(&self, policy: &Policy, now: TimePoint) -> Option<&Arc<Flight>> {
        let airborne = self.airborne.as_ref().filter(|airborne| now.monotonic >= airborne.overdue(policy))?;
        Some(&airborne.flight)
    }

    /// Takes an overdue flight for one that has timed out.
    pub(crate) fn fail_overdue(&mut self, policy: &Policy, now: TimePoint, draw: f64) -> Option<(Arc<Flight>, Error)> {
        let airborne = self.airborne.take()?;
        let failure = self.last.take().and_then(|last| last.failure);
        self.last = Some(Attempt { began: airborne.began.unwrap_or(now.monotonic), failure });
        let error = self.fail(policy, now, Error::timed_out(policy.fetch_timeout), draw);
        Some((airborne.flight, error))
    }

    /// Drops `token` if it is the one stored. Returns its generation if so.
    pub(crate) fn invalidate(&mut self, policy: &Policy, token: &Arc<T>) -> Option<u64> {
        let stored = self.stored.take_if(|stored| Arc::ptr_eq(&stored.token, token))?;
        self.rejected = Some(stored.token);
        if let Some(airborne) = &mut self.airborne {
            airborne.doubted = airborne.began.is_some();
        }
        if let Some(failure) = self.last.as_mut().and_then(|last| last.failure.as_mut()) {
            // Nothing can be handed out any more, which shortens a backoff. It never puts off the attempt that callers were
            // told of.
            let backoff = policy.backoff(failure.in_a_row, Some(Duration::ZERO), failure.draw);
            failure.until = failure.until.min(failure.at.saturating_add(backoff));
        }
        Some(self.generation)
    }

    fn succeed(&mut self) {
        if let Some(last) = &mut self.last {
            last.failure = None;
        }
    }

    /// Returns the error together with when the next attempt may be.
    fn fail(&mut self, policy: &Policy, now: TimePoint, error: Error, draw: f64) -> Error {
        let in_a_row = self.failures().saturating_add(1);
        let remaining = self.stored.as_ref().map_or(Some(Duration::ZERO), |stored| stored.expires.remaining(now));
        let until = now.monotonic.saturating_add(policy.backoff(in_a_row, remaining, draw));
        let failure = Failure { error: error.clone(), at: now.monotonic, in_a_row, draw, until };
        let last = self.last.get_or_insert(Attempt { began: now.monotonic, failure: None });
        last.failure = Some(failure);
        let wait = self.next_attempt(policy).saturating_sub(now.monotonic);
        error.with_retry_after(wait)
    }

    fn take_airborne(&mut self, flight: &Arc<Flight>) -> Option<Airborne> {
        self.airborne.take_if(|airborne| Arc::ptr_eq(&airborne.flight, flight))
    }
}
