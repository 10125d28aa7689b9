//! The one decision a cache makes, and what every outcome does to it.
//!
//! Pure: no clock, no lock, no task, no randomness. `now` and the `draw` of the jitter are arguments.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Deadline, Moment};
use crate::error::Error;
use crate::event::Reason;
use crate::flight::Flight;
use crate::policy::Policy;
use crate::published::Serving;
use crate::status::{Status, Zone};
use crate::token::TemporaryToken;

/// Everything a cache knows.
pub(crate) struct State<T> {
    stored: Option<Stored<T>>,
    flight: Option<Airborne>,
    last: Option<Attempt>,
    /// Counts the tokens stored, so that each has a number.
    generation: u64,
    rejected: bool,
}

struct Stored<T> {
    token: Arc<T>,
    since: Moment,
    /// The start of NearExpiry.
    refresh: Deadline,
    /// The start of TooShort.
    too_short: Deadline,
    expires: Deadline,
}

/// The one fetch under way, or waiting for its time to depart.
struct Airborne {
    flight: Arc<Flight>,
    /// Until when callers who hold a token that is too short wait for this flight; set by the first of them.
    patience: Option<Duration>,
}

/// The last fetch that has begun.
struct Attempt {
    started: Duration,
    failure: Option<Failure>,
}

struct Failure {
    error: Error,
    at: Moment,
    in_a_row: u32,
    draw: f64,
}

/// What a caller is to do.
pub(crate) enum Checkout<T> {
    /// Take this one.
    Ready(Arc<T>),
    /// Take this one, and let the flight depart.
    ReadyAndRefresh(Arc<T>, Departure),
    /// Wait for this flight, but not past the deadline.
    Wait(Arc<Flight>, Deadline),
    /// Let this flight depart, then wait for it, but not past the deadline.
    Fetch(Departure, Deadline),
    /// There is nothing to be had for now.
    Refused(Error),
}

/// A flight that whoever is given this has to launch.
pub(crate) struct Departure {
    pub(crate) flight: Arc<Flight>,
    pub(crate) reason: Reason,
    /// On the monotonic hand; in the past if it may depart at once.
    pub(crate) not_before: Duration,
}

impl<T> State<T> {
    pub(crate) const fn new() -> Self {
        Self { stored: None, flight: None, last: None, generation: 0, rejected: false }
    }

    /// What a caller is to do who wants a token now, and one that lasts for `want`. Without `can_fetch` no flight departs.
    pub(crate) fn checkout(&mut self, policy: &Policy, now: Moment, want: Duration, can_fetch: bool) -> Checkout<T> {
        let due = now.monotonic >= self.next_attempt(policy);
        let lasting = self.stored.as_ref().filter(|stored| stored.expires.leaves(want, now));
        match (lasting, self.zone(now)) {
            (Some(stored), Zone::Fresh) => Checkout::Ready(Arc::clone(&stored.token)),
            (Some(stored), Zone::NearExpiry) => {
                let token = Arc::clone(&stored.token);
                if self.flight.is_none() && due && can_fetch {
                    Checkout::ReadyAndRefresh(token, self.depart(Reason::NearExpiry, now.monotonic))
                } else {
                    Checkout::Ready(token)
                }
            }
            (Some(stored), Zone::TooShort) => {
                let token = Arc::clone(&stored.token);
                let patience = stored.expires.remaining(now).unwrap_or_default() / 10;
                if !can_fetch {
                    return Checkout::Ready(token);
                }
                match &mut self.flight {
                    Some(airborne) => {
                        let until = *airborne.patience.get_or_insert(now.monotonic + patience);
                        if now.monotonic < until {
                            Checkout::Wait(Arc::clone(&airborne.flight), Deadline::monotonic(until))
                        } else {
                            Checkout::Ready(token)
                        }
                    }
                    None if due => {
                        let departure = self.depart(Reason::TooShort, now.monotonic);
                        let until = now.monotonic + patience;
                        if let Some(airborne) = &mut self.flight {
                            airborne.patience = Some(until);
                        }
                        Checkout::Fetch(departure, Deadline::monotonic(until))
                    }
                    None => Checkout::Ready(token),
                }
            }
            _ => self.checkout_with_nothing(policy, now, want, can_fetch),
        }
    }

    /// What a caller who asks for a fetch is to do.
    pub(crate) fn refresh(&mut self, policy: &Policy, now: Moment, can_fetch: bool) -> Checkout<T> {
        let due = now.monotonic >= self.next_attempt(policy);
        if let Some(airborne) = &self.flight {
            return Checkout::Wait(Arc::clone(&airborne.flight), Deadline::NEVER);
        }
        if due && can_fetch {
            return Checkout::Fetch(self.depart(Reason::Requested, now.monotonic), Deadline::NEVER);
        }
        match (self.refusal(policy, now), self.peek(now)) {
            (Some(error), _) => Checkout::Refused(error),
            (None, Some(token)) if can_fetch => Checkout::Ready(token),
            _ => self.checkout_with_nothing(policy, now, Duration::ZERO, can_fetch),
        }
    }

    /// The same for one to whom nothing that is stored is of use.
    fn checkout_with_nothing(&mut self, policy: &Policy, now: Moment, want: Duration, can_fetch: bool) -> Checkout<T> {
        if let Some(airborne) = &self.flight {
            return Checkout::Wait(Arc::clone(&airborne.flight), Deadline::NEVER);
        }
        if let Some(error) = self.refusal(policy, now) {
            return Checkout::Refused(error);
        }
        if !can_fetch {
            return Checkout::Refused(Error::no_runtime());
        }
        let not_before = self.next_attempt(policy);
        let reason = match &self.stored {
            // The source has just shown how long its tokens live.
            Some(stored) if now.monotonic < not_before && !stored.expires.leaves(want, stored.since) => {
                return Checkout::Refused(stored.too_short_for(want, now));
            }
            Some(stored) if stored.expires.is_ahead_of(now) => Reason::TooShort,
            Some(_) => Reason::Expired,
            None if self.rejected => Reason::Invalidated,
            None => Reason::Empty,
        };
        Checkout::Fetch(self.depart(reason, not_before), Deadline::NEVER)
    }

    /// The last error, while it still keeps callers away from the source.
    fn refusal(&self, policy: &Policy, now: Moment) -> Option<Error> {
        let failure = self.last.as_ref()?.failure.as_ref()?;
        let wait = self.next_attempt(policy).saturating_sub(now.monotonic);
        (!wait.is_zero()).then(|| failure.error.with_retry_after(wait))
    }

    fn depart(&mut self, reason: Reason, not_before: Duration) -> Departure {
        let flight = Arc::new(Flight::new());
        self.flight = Some(Airborne { flight: Arc::clone(&flight), patience: None });
        Departure { flight, reason, not_before }
    }

    /// The fetch of `flight` begins.
    pub(crate) fn begin(&mut self, flight: &Arc<Flight>, now: Moment) {
        if self.is_airborne(flight) {
            let failure = self.last.take().and_then(|last| last.failure);
            self.last = Some(Attempt { started: now.monotonic, failure });
        }
    }

    /// The fetch of `flight`, begun at `started`, is over. `None`: the flight had been given up, nothing has changed.
    pub(crate) fn settle(
        &mut self,
        policy: &Policy,
        flight: &Arc<Flight>,
        started: Moment,
        now: Moment,
        answer: Result<TemporaryToken<T>, Error>,
        draw: f64,
    ) -> Option<Result<(), Error>> {
        if !self.is_airborne(flight) {
            return None;
        }
        self.flight = None;
        let failures = self.failures();
        let stored = answer.and_then(|token| Stored::new(policy, token, started, now, draw));
        let attempt = self.last.get_or_insert(Attempt { started: started.monotonic, failure: None });
        match stored {
            Ok(stored) => {
                attempt.failure = None;
                self.generation += 1;
                self.rejected = false;
                self.stored = Some(stored);
                Some(Ok(()))
            }
            Err(error) => {
                let in_a_row = failures.saturating_add(1);
                attempt.failure = Some(Failure { error: error.clone(), at: now, in_a_row, draw });
                let wait = self.next_attempt(policy).saturating_sub(now.monotonic);
                Some(Err(error.with_retry_after(wait)))
            }
        }
    }

    /// `flight` will not come to an end: its task is gone.
    pub(crate) fn give_up(&mut self, flight: &Arc<Flight>) {
        if self.is_airborne(flight) {
            self.flight = None;
        }
    }

    /// Drops `token` if it is the one stored. Returns its generation if so.
    pub(crate) fn invalidate(&mut self, token: &Arc<T>) -> Option<u64> {
        self.stored.take_if(|stored| Arc::ptr_eq(&stored.token, token))?;
        self.rejected = true;
        Some(self.generation)
    }

    /// The stored token, unless it has expired.
    pub(crate) fn peek(&self, now: Moment) -> Option<Arc<T>> {
        let stored = self.stored.as_ref()?;
        stored.expires.is_ahead_of(now).then(|| Arc::clone(&stored.token))
    }

    /// The stored token, if it lasts for `want`. `None`: there is none any more.
    pub(crate) fn valid_for(&self, want: Duration, now: Moment) -> Option<Result<Arc<T>, Error>> {
        let token = self.peek(now)?;
        let stored = self.stored.as_ref()?;
        Some(if stored.expires.leaves(want, now) { Ok(token) } else { Err(stored.too_short_for(want, now)) })
    }

    /// What readers may hand out without asking for a decision, and until when.
    pub(crate) fn serving(&self, policy: &Policy, now: Moment) -> Option<Serving<T>> {
        let stored = self.stored.as_ref()?;
        let until = match (self.zone(now), &self.flight) {
            (Zone::Fresh, _) => stored.refresh,
            (Zone::NearExpiry, Some(_)) => stored.too_short,
            (Zone::NearExpiry, None) => stored.too_short.min(Deadline::monotonic(self.next_attempt(policy))),
            (Zone::TooShort, Some(Airborne { patience: Some(until), .. })) if now.monotonic >= *until => stored.expires,
            (Zone::TooShort, Some(_)) => Deadline::PAST,
            (Zone::TooShort, None) => stored.expires.min(Deadline::monotonic(self.next_attempt(policy))),
            (Zone::Expired | Zone::Empty, _) => Deadline::PAST,
        };
        Some(Serving { token: Arc::clone(&stored.token), until, expires: stored.expires })
    }

    pub(crate) fn status(&self, policy: &Policy, now: Moment) -> Status {
        let next = self.last.as_ref().map(|_| self.next_attempt(policy).saturating_sub(now.monotonic));
        Status {
            generation: self.generation,
            zone: self.zone(now),
            age: self.stored.as_ref().map(|stored| now.monotonic.saturating_sub(stored.since.monotonic)),
            remaining: self.stored.as_ref().and_then(|stored| stored.expires.remaining(now)),
            refreshing: self.flight.is_some(),
            failures: self.failures(),
            last_error: self.last.as_ref().and_then(|last| last.failure.as_ref()).map(|failure| failure.error.clone()),
            next_attempt: next.unwrap_or_default(),
        }
    }

    pub(crate) fn flight(&self) -> Option<&Arc<Flight>> {
        self.flight.as_ref().map(|airborne| &airborne.flight)
    }

    fn zone(&self, now: Moment) -> Zone {
        match &self.stored {
            None => Zone::Empty,
            Some(stored) if stored.refresh.is_ahead_of(now) => Zone::Fresh,
            Some(stored) if stored.too_short.is_ahead_of(now) => Zone::NearExpiry,
            Some(stored) if stored.expires.is_ahead_of(now) => Zone::TooShort,
            Some(_) => Zone::Expired,
        }
    }

    /// The earliest time on the monotonic hand at which a fetch may begin.
    fn next_attempt(&self, policy: &Policy) -> Duration {
        let Some(last) = &self.last else { return Duration::ZERO };
        let paced = last.started.saturating_add(policy.min_refresh_interval);
        let Some(failure) = &last.failure else { return paced };
        let remaining =
            self.stored.as_ref().map_or(Some(Duration::ZERO), |stored| stored.expires.remaining(failure.at));
        let backoff = policy.backoff(failure.in_a_row, remaining, failure.draw);
        paced.max(failure.at.monotonic.saturating_add(backoff))
    }

    fn failures(&self) -> u32 {
        self.last.as_ref().and_then(|last| last.failure.as_ref()).map_or(0, |failure| failure.in_a_row)
    }

    fn is_airborne(&self, flight: &Arc<Flight>) -> bool {
        self.flight().is_some_and(|current| Arc::ptr_eq(current, flight))
    }
}

impl<T> Stored<T> {
    fn new(policy: &Policy, token: TemporaryToken<T>, started: Moment, now: Moment, draw: f64) -> Result<Self, Error> {
        let (token, expires, refresh_at) = token.dated(started);
        if !expires.is_ahead_of(now) {
            return Err(Error::already_expired());
        }
        let (refresh, too_short) = match expires.remaining(started) {
            None => (refresh_at.unwrap_or(Deadline::NEVER), Deadline::NEVER),
            Some(lifetime) => {
                let buffer = || expires.before(policy.expiry_buffer(lifetime, draw));
                (refresh_at.unwrap_or_else(buffer), expires.before(policy.min_ttl(lifetime)))
            }
        };
        Ok(Self { token: Arc::new(token), since: now, refresh: refresh.min(too_short), too_short, expires })
    }

    fn too_short_for(&self, want: Duration, now: Moment) -> Error {
        Error::too_short(want, self.expires.remaining(now).unwrap_or(Duration::MAX))
    }
}
