//! [`State`]: everything a cache knows, and its decision for each caller.
//!
//! Pure: no clock, lock, task or randomness. The time and the jitter samples are arguments, and a fetch is a number.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::TimePoint;
use crate::config::Config;
use crate::error::{Cause, Error};
use crate::event::FetchReason;

mod entry;
mod freshness;
mod queries;
mod transitions;

pub(crate) use self::entry::Entry;
use self::freshness::{FetchDue, Row};
pub(crate) use self::queries::KeepWarm;
pub(crate) use self::transitions::{FetchOutcome, TokenEq};

pub(crate) struct State<T> {
    config: Arc<Config>,
    entry: Option<Entry<T>>,
    /// The stored token was invalidated, and there is no newer one.
    invalidated: bool,
    /// That token, if it can be compared with the next one.
    rejected: Option<Arc<T>>,
    token_eq: Option<TokenEq<T>>,
    in_flight: Option<InFlight>,
    /// When the last fetch started, in monotonic time.
    last_start: Option<Duration>,
    /// The last fetch, if it failed.
    failure: Option<Failure>,
    /// The number of tokens stored so far.
    generation: u64,
    /// The generation for which the event about serving an expired token was emitted.
    last_stale_event: u64,
    /// When a caller last asked for a token, in monotonic time.
    last_access: Duration,
    last_fetch: FetchId,
}

/// The number of a fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchId(u64);

/// The only fetch that runs or waits for its start. Times are monotonic.
#[derive(Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) id: FetchId,
    pub(crate) reason: FetchReason,
    pub(crate) not_before: Duration,
    started: Option<Duration>,
    /// The stored token was invalidated after this fetch had started, so it may return that token again.
    started_before_invalidation: bool,
    /// Until when callers who have a usable token wait for it. The first of them sets it.
    soft_deadline: Option<Duration>,
}

struct Failure {
    error: Error,
    at: Duration,
    consecutive_failures: u32,
    jitter_sample: f64,
    backoff_end: Duration,
}

/// What a caller has to do.
pub(crate) enum Decision<T> {
    /// Return the token.
    Serve(Arc<T>),
    /// Wait for the current fetch: until the soft deadline, if there is a usable token, and until the hard deadline, after
    /// which the fetch has timed out.
    Wait { soft_deadline: Option<Duration>, hard_deadline: Duration },
    /// Return the error.
    Fail(Error),
}

impl<T> State<T> {
    pub(crate) fn new(
        config: Arc<Config>,
        token_eq: Option<TokenEq<T>>,
        entry: Option<Entry<T>>,
        now: TimePoint,
    ) -> Self {
        Self {
            config,
            generation: u64::from(entry.is_some()),
            entry,
            invalidated: false,
            rejected: None,
            token_eq,
            in_flight: None,
            last_start: None,
            failure: None,
            last_stale_event: 0,
            last_access: now.monotonic,
            last_fetch: FetchId::default(),
        }
    }

    /// Decides for a caller of `get`. Without `can_fetch` no fetch starts.
    pub(crate) fn get(&mut self, now: TimePoint, min_remaining: Duration, can_fetch: bool) -> Decision<T> {
        self.last_access = now.monotonic;
        let row = self.freshness_row(now);
        let Row { freshness, fetch, .. } = row;
        let Some((token, usable_until)) = row.usable_for(min_remaining, now) else {
            return self.wait_or_fail(now, min_remaining, can_fetch);
        };
        let can_start = can_fetch && self.fetch_allowed(now);
        match fetch {
            FetchDue::Background if can_start => {
                self.start_fetch(FetchReason::NearExpiry, now.monotonic, None);
            }
            FetchDue::First if can_fetch => {
                let remaining = usable_until.remaining(now).unwrap_or(Duration::MAX);
                // Callers who have a usable token wait for at most 10 % of the time for which they can use it.
                let soft_deadline = now.monotonic.saturating_add(remaining / 10);
                if can_start {
                    return self.start_fetch(self.fetch_reason(freshness), now.monotonic, Some(soft_deadline));
                }
                return self.wait_bounded(now, token, soft_deadline);
            }
            FetchDue::No | FetchDue::Background | FetchDue::First => {}
        }
        Decision::Serve(token)
    }

    /// Decides for a caller of `refresh`.
    pub(crate) fn refresh(&mut self, now: TimePoint, can_fetch: bool) -> Decision<T> {
        self.last_access = now.monotonic;
        let allowed = self.fetch_allowed(now);
        if allowed && can_fetch {
            return self.start_fetch(FetchReason::Requested, now.monotonic, None);
        }
        match (&self.in_flight, self.refusal(now), self.freshness_row(now).usable_for(Duration::ZERO, now)) {
            // Within the interval after a success: the result of that fetch.
            (None, None, Some((token, _))) if !allowed => Decision::Serve(token),
            _ => self.wait_or_fail(now, Duration::ZERO, can_fetch),
        }
    }

    /// Decides for a caller who can use the stored token, but should wait for the current fetch, if there is one.
    fn wait_bounded(&mut self, now: TimePoint, token: Arc<T>, soft_deadline: Duration) -> Decision<T> {
        let Some(in_flight) = &mut self.in_flight else { return Decision::Serve(token) };
        // The first waiter sets the deadline. Per-caller deadlines would make a hung source delay every request.
        let soft_deadline = *in_flight.soft_deadline.get_or_insert(soft_deadline);
        if soft_deadline <= now.monotonic {
            return Decision::Serve(token);
        }
        let hard_deadline = in_flight.hard_deadline(&self.config);
        Decision::Wait { soft_deadline: Some(soft_deadline), hard_deadline }
    }

    /// Decides for a caller who cannot use the stored token.
    fn wait_or_fail(&mut self, now: TimePoint, min_remaining: Duration, can_fetch: bool) -> Decision<T> {
        if let Some(in_flight) = &self.in_flight {
            return Decision::Wait { soft_deadline: None, hard_deadline: in_flight.hard_deadline(&self.config) };
        }
        if let Some(error) = self.refusal(now) {
            return Decision::Fail(error);
        }
        let not_before = self.next_attempt().max(now.monotonic);
        if let Some(entry) = &self.entry
            && now.monotonic < not_before
            && !entry.was_valid_for(min_remaining)
        {
            // The source has just shown how long its tokens are valid.
            return Decision::Fail(entry.too_short(min_remaining, now));
        }
        if !can_fetch {
            return Decision::Fail(Cause::NoRuntime.into());
        }
        let reason = match self.fetch_reason(self.freshness_row(now).freshness) {
            FetchReason::NearExpiry => FetchReason::TooShort,
            reason => reason,
        };
        self.start_fetch(reason, not_before, None)
    }

    /// Starts a fetch and decides to wait for it.
    fn start_fetch(
        &mut self,
        reason: FetchReason,
        not_before: Duration,
        soft_deadline: Option<Duration>,
    ) -> Decision<T> {
        let id = FetchId(self.last_fetch.0 + 1);
        self.last_fetch = id;
        let in_flight =
            InFlight { id, reason, not_before, started: None, started_before_invalidation: false, soft_deadline };
        self.in_flight = Some(in_flight);
        Decision::Wait { soft_deadline, hard_deadline: in_flight.hard_deadline(&self.config) }
    }

    /// The last error, while its backoff lasts.
    fn refusal(&self, now: TimePoint) -> Option<Error> {
        let wait = self.next_attempt().saturating_sub(now.monotonic);
        self.failure.as_ref().filter(|_| !wait.is_zero()).map(|failure| failure.error.with_retry_after(wait))
    }

    fn fetch_allowed(&self, now: TimePoint) -> bool {
        self.in_flight.is_none() && now.monotonic >= self.next_attempt()
    }

    /// The earliest start of the next fetch, in monotonic time.
    fn next_attempt(&self) -> Duration {
        let paced =
            self.last_start.map_or(Duration::ZERO, |start| start.saturating_add(self.config.min_refresh_interval));
        self.failure.as_ref().map_or(paced, |failure| paced.max(failure.backoff_end))
    }
}

impl InFlight {
    /// When the fetch has timed out.
    fn hard_deadline(&self, config: &Config) -> Duration {
        self.started.unwrap_or(self.not_before).saturating_add(config.fetch_timeout)
    }
}

#[cfg(test)]
mod tests;
