//! [`State`]: everything a cache knows, and its decision for each caller.
//!
//! Pure: no clock, lock, task or randomness, and no function of the user. The time and the jitter samples are arguments, and a
//! fetch is a number. Nothing that depends on the time is kept: each decision follows from what happened and from the time now.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::TimePoint;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Cause, Error};
use crate::event::FetchReason;
use crate::status::Freshness;

mod entry;
mod freshness;
mod pacing;
mod queries;
mod transitions;

pub(crate) use self::entry::{Entry, NewToken};
use self::freshness::{FetchDue, Row};
use self::pacing::{Failure, Rejections};
pub(crate) use self::queries::{KeepWarm, MAX_SLEEP, Serving};
pub(crate) use self::transitions::FetchOutcome;

pub(crate) struct State<T> {
    config: Arc<Config>,
    entry: Option<Entry<T>>,
    /// The stored token was invalidated, and there is no other one yet.
    invalidated: bool,
    /// That token, if it can be compared with the next one.
    rejected: Option<Arc<T>>,
    /// Whether tokens can be compared.
    comparable: bool,
    in_flight: Option<InFlight>,
    /// When the last fetch started.
    last_start: Option<TimePoint>,
    /// The last fetch, if it failed.
    failure: Option<Failure>,
    rejections: Option<Rejections>,
    /// The remaining lifetime of the source's last token when it arrived. `None` if that is not known, or has no end.
    last_lifetime: Option<Duration>,
    /// The number of tokens stored so far.
    generation: u64,
    /// The generation for which the event about serving an expired token was emitted.
    last_stale_event: u64,
    /// When a caller last asked for a token, in monotonic time.
    last_access: Duration,
    last_fetch: FetchId,
    displaced: Displaced<T>,
}

/// What is not needed any more. Destructors of the user must not run under the lock of the cache.
pub(crate) struct Displaced<T> {
    tokens: Vec<Arc<T>>,
    errors: Vec<Error>,
}

/// The number of a fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchId(u64);

/// The only fetch that runs or waits for its start.
#[derive(Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) id: FetchId,
    pub(crate) reason: FetchReason,
    pub(crate) not_before: Deadline,
    pub(crate) started: Option<TimePoint>,
    /// The stored token was rejected after this fetch had started, so it may return that token again.
    started_before_rejection: bool,
    /// Until when callers who have a usable token wait for it, in monotonic time. The first of them sets it.
    soft_deadline: Option<Duration>,
}

/// What a caller has to do.
pub(crate) enum Decision<T> {
    /// Return the token.
    Serve(Arc<T>),
    /// Wait for the current fetch: a caller who has a usable token only until the soft deadline, in monotonic time.
    Wait { soft_deadline: Option<Duration> },
    /// Return the error.
    Fail(Error),
}

impl<T> State<T> {
    pub(crate) fn new(config: Arc<Config>, comparable: bool, now: TimePoint) -> Self {
        Self {
            config,
            entry: None,
            invalidated: false,
            rejected: None,
            comparable,
            in_flight: None,
            last_start: None,
            failure: None,
            rejections: None,
            last_lifetime: None,
            generation: 0,
            last_stale_event: 0,
            last_access: now.monotonic,
            last_fetch: FetchId::default(),
            displaced: Displaced::default(),
        }
    }

    /// Decides for a caller of `get`. Without `can_fetch` no fetch starts.
    pub(crate) fn get(&mut self, now: TimePoint, min_remaining: Duration, can_fetch: bool) -> Decision<T> {
        self.last_access = now.monotonic;
        let Row { freshness, usable, fetch, .. } = self.freshness_row(now);
        let Some((token, usable_for)) = usable.and_then(|usable| usable.token_for(min_remaining, now)) else {
            return self.wait_or_fail(now, min_remaining, can_fetch);
        };
        let start = can_fetch && self.fetch_allowed(now) && !matches!(fetch, FetchDue::No);
        if start {
            self.start_fetch(self.fetch_reason(freshness), now);
        }
        match (fetch, &mut self.in_flight) {
            (FetchDue::First, Some(in_flight)) if can_fetch => {
                // Callers who have a usable token wait for at most 10 % of the time for which they can use it. The first of
                // them sets the deadline. Per-caller deadlines would make a hung source delay every request.
                let soft_deadline = now.monotonic.saturating_add(usable_for / 10);
                let soft_deadline = *in_flight.soft_deadline.get_or_insert(soft_deadline);
                if now.monotonic < soft_deadline {
                    return Decision::Wait { soft_deadline: Some(soft_deadline) };
                }
                Decision::Serve(token)
            }
            _ => Decision::Serve(token),
        }
    }

    /// Decides for a caller of `refresh`, who does not wait for the end of a long backoff.
    pub(crate) fn refresh(&mut self, now: TimePoint, can_fetch: bool) -> Decision<T> {
        self.last_access = now.monotonic;
        let by_hand = self.failure.as_ref().is_some_and(Failure::yields_to_callers);
        let next = if by_hand { self.after_interval() } else { self.next_attempt(now) };
        if self.in_flight.is_none() && next.is_reached(now) {
            if !can_fetch {
                return Decision::Fail(self.error(Cause::NoRuntime));
            }
            return self.start_fetch_at(FetchReason::Requested, Deadline::after(now, Duration::ZERO));
        }
        match (&self.in_flight, self.refusal(now), self.freshness_row(now).usable) {
            // Within the interval after a success: the result of that fetch.
            (None, None, Some(usable)) => Decision::Serve(Arc::clone(&usable.entry.token)),
            _ => self.wait_or_fail(now, Duration::ZERO, can_fetch),
        }
    }

    /// Decides for a caller of `replace`, who has rejected the stored token with [`reject`](Self::reject).
    pub(crate) fn replace(&mut self, now: TimePoint, can_fetch: bool) -> Decision<T> {
        self.last_access = now.monotonic;
        self.wait_or_start(now, can_fetch, FetchReason::Invalidated)
    }

    /// Decides for a caller who cannot use the stored token.
    fn wait_or_fail(&mut self, now: TimePoint, min_remaining: Duration, can_fetch: bool) -> Decision<T> {
        let row = self.freshness_row(now);
        let paced = self.in_flight.is_none() && self.failure.is_none() && self.next_attempt(now).not_reached(now);
        if let Some(usable) = &row.usable
            && (paced || (self.in_flight.is_none() && matches!(row.fetch, FetchDue::No)))
            && self.last_lifetime.is_some_and(|lifetime| lifetime < min_remaining)
        {
            // The source has shown how long its tokens are valid.
            return Decision::Fail(self.error(usable.entry.too_short(min_remaining, now)));
        }
        let reason = match self.fetch_reason(row.freshness) {
            FetchReason::NearExpiry => FetchReason::TooShort,
            reason => reason,
        };
        self.wait_or_start(now, can_fetch, reason)
    }

    /// Waits for the current fetch or for a new one, unless the backoff of the last one refuses that.
    fn wait_or_start(&mut self, now: TimePoint, can_fetch: bool, reason: FetchReason) -> Decision<T> {
        if self.in_flight.is_some() {
            return Decision::Wait { soft_deadline: None };
        }
        if let Some(error) = self.refusal(now) {
            return Decision::Fail(error);
        }
        if !can_fetch {
            return Decision::Fail(self.error(Cause::NoRuntime));
        }
        self.start_fetch(reason, now)
    }

    /// Starts a fetch, as soon as the pacing allows it, and decides to wait for it.
    fn start_fetch(&mut self, reason: FetchReason, now: TimePoint) -> Decision<T> {
        let next = self.next_attempt(now);
        let not_before = if next.is_reached(now) { Deadline::after(now, Duration::ZERO) } else { next };
        self.start_fetch_at(reason, not_before)
    }

    fn start_fetch_at(&mut self, reason: FetchReason, not_before: Deadline) -> Decision<T> {
        let id = FetchId(self.last_fetch.0 + 1);
        self.last_fetch = id;
        self.in_flight = Some(InFlight {
            id,
            reason,
            not_before,
            started: None,
            started_before_rejection: false,
            soft_deadline: None,
        });
        Decision::Wait { soft_deadline: None }
    }

    /// Why a fetch starts now.
    const fn fetch_reason(&self, freshness: Freshness) -> FetchReason {
        match (freshness, &self.entry) {
            (_, Some(Entry { rejected: true, .. })) => FetchReason::Invalidated,
            (Freshness::Empty, _) if self.invalidated => FetchReason::Invalidated,
            (Freshness::Empty, _) => FetchReason::Empty,
            // A fresh one only for a caller who needs a longer remaining lifetime.
            (Freshness::Fresh | Freshness::TooShort, _) => FetchReason::TooShort,
            (Freshness::NearExpiry, _) => FetchReason::NearExpiry,
            (Freshness::Expired, _) => FetchReason::Expired,
        }
    }

    /// An error of this cache.
    fn error(&self, cause: Cause) -> Error {
        Error::new(cause, &self.config.name)
    }
}

impl<T> Default for Displaced<T> {
    fn default() -> Self {
        Self { tokens: Vec::new(), errors: Vec::new() }
    }
}

impl InFlight {
    /// When the fetch has timed out, in monotonic time.
    pub(crate) fn hard_deadline(&self, config: &Config) -> Duration {
        let start = self.started.map_or_else(|| self.not_before.monotonic(), |started| started.monotonic);
        start.saturating_add(config.fetch_timeout)
    }
}

#[cfg(test)]
mod tests;
