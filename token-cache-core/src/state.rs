//! The one decision a cache makes: [`checkout`](State::checkout). What the outcomes do to it is in `outcome`, what follows
//! for those who look on is in `view`.
//!
//! Pure: no clock, no lock, no task, no randomness. `now` and the `draw` of the jitter are arguments.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Deadline, TimePoint};
use crate::error::Error;
use crate::event::FetchReason;
use crate::flight::Flight;
use crate::policy::Policy;
use crate::status::Freshness;

mod outcome;
mod stored;
mod view;

pub(crate) use self::outcome::Answer;
pub(crate) use self::stored::Stored;
pub(crate) use self::view::Warm;

/// Everything a cache knows.
pub(crate) struct State<T> {
    stored: Option<Stored<T>>,
    /// The token that was dropped last, for as long as there is no newer one.
    rejected: Option<Arc<T>>,
    airborne: Option<Airborne>,
    last: Option<Attempt>,
    /// Counts the tokens stored, so that each has a number.
    generation: u64,
    /// The last of which it was told that it is handed out past its expiry.
    told_expired: u64,
    /// When a caller came by last, on the monotonic hand.
    read: Duration,
}

/// The one fetch under way, or waiting for its time to depart.
struct Airborne {
    flight: Arc<Flight>,
    not_before: Duration,
    began: Option<Duration>,
    /// A token was rejected after this had begun: it may bring that very one.
    doubted: bool,
    /// Until when callers who have something to fall back on wait for it; set by the first of them.
    patience: Option<Duration>,
}

/// The last fetch that has begun.
struct Attempt {
    began: Duration,
    failure: Option<Failure>,
}

struct Failure {
    error: Error,
    at: Duration,
    in_a_row: u32,
    draw: f64,
    /// The end of the backoff.
    until: Duration,
}

/// What a caller is to do.
pub(crate) enum Checkout<T> {
    /// Take this one.
    Ready(Arc<T>),
    /// Take this one, and let the flight depart.
    ReadyAndRefresh(Arc<T>, Departure),
    /// Wait for this flight.
    Wait(Waiting),
    /// Let this flight depart, then wait for it.
    Fetch(Departure, Waiting),
    /// There is nothing to be had for now.
    Refused(Error),
}

/// For what to wait, and how long; on the monotonic hand.
pub(crate) struct Waiting {
    pub(crate) flight: Arc<Flight>,
    /// Until when, for one who has something to fall back on.
    pub(crate) patience: Option<Duration>,
    /// From when on the flight counts as one that will not end.
    pub(crate) overdue: Duration,
}

/// A flight that whoever is given this has to launch.
pub(crate) struct Departure {
    pub(crate) flight: Arc<Flight>,
    pub(crate) reason: FetchReason,
    /// On the monotonic hand; now, if it may depart at once.
    pub(crate) not_before: Duration,
}

/// What there is for a caller, were nothing fetched.
enum Hold<T> {
    Good(Arc<T>),
    /// Good, but it is time to refresh.
    Near(Arc<T>),
    /// Better than an error, for so long.
    Last(Arc<T>, Duration),
    Nothing,
}

impl<T> State<T> {
    pub(crate) fn new(stored: Option<Stored<T>>, now: TimePoint) -> Self {
        let generation = u64::from(stored.is_some());
        Self { stored, rejected: None, airborne: None, last: None, generation, told_expired: 0, read: now.monotonic }
    }

    /// What a caller is to do who wants a token now, and one that lasts for `want`. Without `can_fetch` no flight departs.
    pub(crate) fn checkout(&mut self, policy: &Policy, now: TimePoint, want: Duration, can_fetch: bool) -> Checkout<T> {
        self.read = now.monotonic;
        let departs = can_fetch && self.may_depart(policy, now);
        match self.hold(policy, now, want) {
            Hold::Good(token) => Checkout::Ready(token),
            Hold::Near(token) if departs => {
                Checkout::ReadyAndRefresh(token, self.depart(policy, FetchReason::NearExpiry, now.monotonic, None).0)
            }
            Hold::Near(token) => Checkout::Ready(token),
            Hold::Last(token, left) if can_fetch => self.wait_a_little(policy, now, departs, token, left),
            Hold::Last(token, _) => Checkout::Ready(token),
            Hold::Nothing => self.wait_or_refuse(policy, now, want, can_fetch),
        }
    }

    /// What a caller who asks for a fetch is to do.
    pub(crate) fn refresh(&mut self, policy: &Policy, now: TimePoint, can_fetch: bool) -> Checkout<T> {
        self.read = now.monotonic;
        let departs = self.may_depart(policy, now);
        if departs && can_fetch {
            let (departure, waiting) = self.depart(policy, FetchReason::Requested, now.monotonic, None);
            return Checkout::Fetch(departure, waiting);
        }
        match (&self.airborne, self.refusal(policy, now), self.peek(now)) {
            // Within the pacing, the result of the last attempt.
            (None, None, Some(token)) if !departs => Checkout::Ready(token),
            _ => self.wait_or_refuse(policy, now, Duration::ZERO, can_fetch),
        }
    }

    /// One who has something to fall back on waits for a tenth of the time for which that is good, at the most.
    fn wait_a_little(
        &mut self,
        policy: &Policy,
        now: TimePoint,
        departs: bool,
        token: Arc<T>,
        left: Duration,
    ) -> Checkout<T> {
        let patience = now.monotonic.saturating_add(left / 10);
        if departs {
            let reason =
                if self.freshness(now) == Freshness::Expired { FetchReason::Expired } else { FetchReason::TooShort };
            let (departure, waiting) = self.depart(policy, reason, now.monotonic, Some(patience));
            return Checkout::Fetch(departure, waiting);
        }
        let Some(airborne) = &mut self.airborne else { return Checkout::Ready(token) };
        let patience = *airborne.patience.get_or_insert(patience);
        if now.monotonic < patience {
            Checkout::Wait(airborne.waiting(policy, Some(patience)))
        } else {
            Checkout::Ready(token)
        }
    }

    /// One to whom nothing that is stored is of use waits for as long as it takes, unless the last error says not to.
    fn wait_or_refuse(&mut self, policy: &Policy, now: TimePoint, want: Duration, can_fetch: bool) -> Checkout<T> {
        if let Some(airborne) = &self.airborne {
            return Checkout::Wait(airborne.waiting(policy, None));
        }
        if let Some(error) = self.refusal(policy, now) {
            return Checkout::Refused(error);
        }
        let not_before = self.next_attempt(policy).max(now.monotonic);
        let reason = match &self.stored {
            // The source has just shown how long its tokens live.
            Some(stored) if now.monotonic < not_before && !stored.lasted(want) => {
                return Checkout::Refused(stored.too_short_for(want, now));
            }
            Some(stored) if stored.expires.is_ahead_of(now) => FetchReason::TooShort,
            Some(_) => FetchReason::Expired,
            None if self.rejected.is_some() => FetchReason::Invalidated,
            None => FetchReason::Empty,
        };
        if !can_fetch {
            return Checkout::Refused(Error::no_runtime());
        }
        let (departure, waiting) = self.depart(policy, reason, not_before, None);
        Checkout::Fetch(departure, waiting)
    }

    fn hold(&self, policy: &Policy, now: TimePoint, want: Duration) -> Hold<T> {
        let Some(stored) = self.stored.as_ref().filter(|stored| stored.expires.leaves(want, now)) else {
            return Hold::Nothing;
        };
        let token = Arc::clone(&stored.token);
        match (self.freshness(now), self.last_resort(policy)) {
            (Freshness::Fresh, _) => Hold::Good(token),
            (Freshness::NearExpiry, _) => Hold::Near(token),
            (Freshness::TooShort, _) => Hold::Last(token, stored.expires.remaining(now).unwrap_or_default()),
            (Freshness::Expired, Some(end)) if end.is_ahead_of(now) => {
                Hold::Last(token, end.remaining(now).unwrap_or_default())
            }
            (Freshness::Expired | Freshness::Empty, _) => Hold::Nothing,
        }
    }

    /// Until when the stored token is handed out past its expiry: only while the source is known to be down.
    fn last_resort(&self, policy: &Policy) -> Option<Deadline> {
        let stored = self.stored.as_ref()?;
        (self.failures() > 0 && !policy.stale_if_error.is_zero()).then(|| stored.expires.plus(policy.stale_if_error))
    }

    /// The last error, while it still keeps callers away from the source.
    fn refusal(&self, policy: &Policy, now: TimePoint) -> Option<Error> {
        let failure = self.last.as_ref()?.failure.as_ref()?;
        let wait = self.next_attempt(policy).saturating_sub(now.monotonic);
        (!wait.is_zero()).then(|| failure.error.with_retry_after(wait))
    }

    fn may_depart(&self, policy: &Policy, now: TimePoint) -> bool {
        self.airborne.is_none() && now.monotonic >= self.next_attempt(policy)
    }

    fn depart(
        &mut self,
        policy: &Policy,
        reason: FetchReason,
        not_before: Duration,
        patience: Option<Duration>,
    ) -> (Departure, Waiting) {
        let flight = Arc::new(Flight::new());
        let airborne = Airborne { flight: Arc::clone(&flight), not_before, began: None, doubted: false, patience };
        let waiting = airborne.waiting(policy, patience);
        self.airborne = Some(airborne);
        (Departure { flight, reason, not_before }, waiting)
    }

    /// The stored token, unless it has expired.
    pub(crate) fn peek(&self, now: TimePoint) -> Option<Arc<T>> {
        let stored = self.stored.as_ref()?;
        stored.expires.is_ahead_of(now).then(|| Arc::clone(&stored.token))
    }

    /// How good the stored token is.
    pub(crate) fn freshness(&self, now: TimePoint) -> Freshness {
        match &self.stored {
            None => Freshness::Empty,
            Some(stored) if stored.refresh.is_ahead_of(now) => Freshness::Fresh,
            Some(stored) if stored.too_short.is_ahead_of(now) => Freshness::NearExpiry,
            Some(stored) if stored.expires.is_ahead_of(now) => Freshness::TooShort,
            Some(_) => Freshness::Expired,
        }
    }

    /// The earliest time on the monotonic hand at which a fetch may begin.
    fn next_attempt(&self, policy: &Policy) -> Duration {
        let Some(last) = &self.last else { return Duration::ZERO };
        let paced = last.began.saturating_add(policy.min_refresh_interval);
        last.failure.as_ref().map_or(paced, |failure| paced.max(failure.until))
    }

    pub(crate) fn failures(&self) -> u32 {
        self.last.as_ref().and_then(|last| last.failure.as_ref()).map_or(0, |failure| failure.in_a_row)
    }
}

impl Airborne {
    fn waiting(&self, policy: &Policy, patience: Option<Duration>) -> Waiting {
        Waiting { flight: Arc::clone(&self.flight), patience, overdue: self.overdue(policy) }
    }

    /// When it should have ended by itself.
    fn overdue(&self, policy: &Policy) -> Duration {
        self.began.unwrap_or(self.not_before).saturating_add(policy.fetch_timeout)
    }
}

#[cfg(test)]
mod tests;
