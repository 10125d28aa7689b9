//! What follows from the state for those who look on: readers, `status`, a refresh by timer.

use std::sync::Arc;
use std::time::Duration;

use super::{Airborne, Departure, State};
use crate::clock::{Deadline, TimePoint};
use crate::error::Error;
use crate::event::FetchReason;
use crate::flight::Flight;
use crate::policy::Policy;
use crate::published::Serving;
use crate::status::{Freshness, Status};

/// What the one who keeps a cache warm is to do.
pub(crate) enum Warm {
    /// Let this flight depart, then wait for it.
    Fetch(Departure),
    /// Sleep until the monotonic hand is there, then ask again.
    Sleep(Duration),
    /// Stop: nobody has read for long.
    Stop,
    /// Wait for this flight, then ask again.
    Wait(Arc<Flight>),
}

impl<T> State<T> {
    /// What a caller gets who has waited for a flight in vain. `None`: there is nothing, but there may be soon.
    pub(crate) fn fallback(&self, policy: &Policy, want: Duration, now: TimePoint) -> Option<Result<Arc<T>, Error>> {
        let stored = self.stored.as_ref()?;
        let token = Arc::clone(&stored.token);
        if stored.expires.is_ahead_of(now) {
            return Some(if stored.expires.leaves(want, now) {
                Ok(token)
            } else {
                Err(stored.too_short_for(want, now))
            });
        }
        self.last_resort(policy).filter(|end| want.is_zero() && end.is_ahead_of(now)).map(|_| Ok(token))
    }

    /// Whether `token` is the stored one, expired or not.
    pub(crate) fn holds(&self, token: &Arc<T>) -> bool {
        self.stored.as_ref().is_some_and(|stored| Arc::ptr_eq(&stored.token, token))
    }

    /// What readers may hand out without asking for a decision, and until when.
    pub(crate) fn serving(&self, policy: &Policy, now: TimePoint) -> Option<Serving<T>> {
        let stored = self.stored.as_ref()?;
        let due = match &self.airborne {
            Some(airborne) => airborne.overdue(policy),
            None => self.next_attempt(policy),
        };
        let until = match self.freshness(now) {
            Freshness::Fresh => stored.refresh,
            Freshness::NearExpiry => stored.too_short.min(Deadline::monotonic(due)),
            Freshness::TooShort if self.is_waited_for(now) => Deadline::PAST,
            Freshness::TooShort => stored.expires.min(Deadline::monotonic(due)),
            Freshness::Expired if self.is_waited_for(now) => Deadline::PAST,
            Freshness::Expired => {
                self.last_resort(policy).map_or(Deadline::PAST, |end| end.min(Deadline::monotonic(due)))
            }
            Freshness::Empty => Deadline::PAST,
        };
        let until = match policy.keep_warm {
            // So that readers come by, and it is known that there are some.
            Some(idle) => until.min(Deadline::monotonic(self.read.saturating_add(idle / 2))),
            None => until,
        };
        Some(Serving { token: Arc::clone(&stored.token), until, expires: stored.expires })
    }

    /// Whether those who have something to fall back on still wait for the flight.
    fn is_waited_for(&self, now: TimePoint) -> bool {
        let Some(Airborne { patience, .. }) = &self.airborne else { return false };
        patience.is_none_or(|patience| now.monotonic < patience)
    }

    pub(crate) fn status(&self, policy: &Policy, now: TimePoint) -> Status {
        let failure = self.last.as_ref().and_then(|last| last.failure.as_ref());
        let freshness = self.freshness(now);
        let last_resort = self.last_resort(policy).is_some_and(|end| end.is_ahead_of(now));
        Status {
            generation: self.generation,
            freshness,
            age: self.stored.as_ref().map(|stored| now.monotonic.saturating_sub(stored.since.monotonic)),
            remaining: self.stored.as_ref().and_then(|stored| stored.expires.remaining(now)),
            serving_expired: freshness == Freshness::Expired && last_resort,
            refreshing: self.airborne.is_some(),
            failures: self.failures(),
            last_error: failure.map(|failure| failure.error.clone()),
            next_attempt: self.next_attempt(policy).saturating_sub(now.monotonic),
        }
    }

    /// The number of the token whose expiry is overlooked from now on; once a token.
    pub(crate) fn begins_to_serve_expired(&mut self, policy: &Policy, now: TimePoint) -> Option<u64> {
        let told = self.told_expired == self.generation || !self.status(policy, now).serving_expired;
        (!told).then(|| {
            self.told_expired = self.generation;
            self.generation
        })
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn flight(&self) -> Option<&Arc<Flight>> {
        self.airborne.as_ref().map(|airborne| &airborne.flight)
    }

    /// What to do so that the next caller finds a good token. `can_fetch` is taken for granted: a task asks.
    pub(crate) fn warm(&mut self, policy: &Policy, now: TimePoint) -> Warm {
        let idle = now.monotonic.saturating_sub(self.read);
        if policy.keep_warm.is_none_or(|longest| idle >= longest) {
            return Warm::Stop;
        }
        if let Some(flight) = self.flight() {
            return Warm::Wait(Arc::clone(flight));
        }
        let reason = match (self.freshness(now), &self.stored) {
            (Freshness::Fresh, Some(stored)) => {
                // Not for long at once: the wall clock may be set, and the token be invalidated.
                let next = now.monotonic.saturating_add(LONGEST_SLEEP);
                return Warm::Sleep(stored.refresh.on_monotonic().min(next));
            }
            (Freshness::NearExpiry, _) => FetchReason::NearExpiry,
            (Freshness::TooShort, _) => FetchReason::TooShort,
            (Freshness::Expired, _) => FetchReason::Expired,
            _ if self.rejected.is_some() => FetchReason::Invalidated,
            _ => FetchReason::Empty,
        };
        match self.next_attempt(policy) {
            next if next > now.monotonic => Warm::Sleep(next),
            _ => Warm::Fetch(self.depart(policy, reason, now.monotonic, None).0),
        }
    }
}

const LONGEST_SLEEP: Duration = Duration::from_secs(60);
