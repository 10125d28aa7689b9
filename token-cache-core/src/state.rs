//! [`State`]: everything a cache knows, and its decision for each caller.
//!
//! Pure: no clock, lock, task or randomness. The time and the jitter samples are arguments, and a fetch is a number.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::TimePoint;
use crate::config::Config;
use crate::error::Error;
use crate::event::FetchReason;

mod entry;
mod freshness;
mod queries;
mod transitions;

pub(crate) use self::entry::Entry;
use self::freshness::FetchDue;
pub(crate) use self::queries::KeepWarm;
pub(crate) use self::transitions::{FetchOutcome, FetchResult, TokenEq};

pub(crate) struct State<T> {
    entry: Option<Entry<T>>,
    /// The token that was invalidated last, until a newer one is stored.
    rejected: Option<Arc<T>>,
    in_flight: Option<InFlight>,
    last_attempt: Option<Attempt>,
    /// The number of tokens stored so far.
    generation: u64,
    /// The generation for which the event about serving an expired token was emitted.
    last_stale_event: u64,
    /// When a caller last asked for a token, in monotonic time.
    last_access: Duration,
    /// The number of fetches started so far.
    fetches: u64,
}

/// The number of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchId(u64);

/// The only fetch that runs or waits for its start.
struct InFlight {
    id: FetchId,
    not_before: Duration,
    started: Option<Duration>,
    /// The stored token was invalidated after this fetch had started, so it may return that token again.
    started_before_invalidation: bool,
    /// Until when callers who have a usable token wait for it. The first of them sets it.
    soft_deadline: Option<Duration>,
}

/// The last fetch that started.
struct Attempt {
    started: Duration,
    failure: Option<Failure>,
}

struct Failure {
    error: Error,
    at: Duration,
    consecutive_failures: u32,
    jitter_sample: f64,
    backoff_end: Duration,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The token must be valid for at least this long.
    pub(crate) min_remaining: Duration,
    /// Whether there is a runtime to fetch in.
    pub(crate) can_fetch: bool,
}

/// What a caller has to do.
pub(crate) enum Decision<T> {
    /// Return the token.
    Serve(Arc<T>),
    /// Start the fetch and return the token.
    ServeAndFetch(Arc<T>, FetchTicket),
    /// Wait for the current fetch.
    Wait(Wait),
    /// Start the fetch and wait for it.
    FetchAndWait(FetchTicket, Wait),
    /// Return the error.
    Fail(Error),
}

/// How long to wait for the current fetch, in monotonic time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// For a caller who has a usable token.
    pub(crate) soft_deadline: Option<Duration>,
    /// When the fetch has timed out.
    pub(crate) hard_deadline: Duration,
}

/// A fetch that the caller has to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchTicket {
    pub(crate) reason: FetchReason,
    /// In monotonic time.
    pub(crate) not_before: Duration,
}

impl<T> State<T> {
    pub(crate) fn new(entry: Option<Entry<T>>, now: TimePoint) -> Self {
        Self {
            generation: u64::from(entry.is_some()),
            entry,
            rejected: None,
            in_flight: None,
            last_attempt: None,
            last_stale_event: 0,
            last_access: now.monotonic,
            fetches: 0,
        }
    }

    /// Decides for a caller of `get`.
    pub(crate) fn get(&mut self, config: &Config, now: TimePoint, request: Request) -> Decision<T> {
        self.last_access = now.monotonic;
        let can_start = request.can_fetch && self.fetch_allowed(config, now);
        let row = self.freshness_row(config, now);
        let (freshness, fetch) = (row.freshness, row.fetch);
        let Some((token, usable_until)) = row.usable_for(request.min_remaining, now) else {
            return self.wait_or_fail(config, now, request);
        };
        match fetch {
            FetchDue::Background if can_start => {
                let (ticket, _) = self.start_fetch(config, FetchReason::NearExpiry, now.monotonic, None);
                Decision::ServeAndFetch(token, ticket)
            }
            FetchDue::First if request.can_fetch => {
                let reason = self.fetch_reason(freshness);
                let remaining = usable_until.remaining(now).unwrap_or(Duration::MAX);
                self.wait_bounded(config, now, can_start.then_some(reason), token, remaining)
            }
            FetchDue::No | FetchDue::Background | FetchDue::First => Decision::Serve(token),
        }
    }

    /// Decides for a caller of `refresh`.
    pub(crate) fn refresh(&mut self, config: &Config, now: TimePoint, can_fetch: bool) -> Decision<T> {
        self.last_access = now.monotonic;
        let allowed = self.fetch_allowed(config, now);
        if allowed && can_fetch {
            let (ticket, wait) = self.start_fetch(config, FetchReason::Requested, now.monotonic, None);
            return Decision::FetchAndWait(ticket, wait);
        }
        match (&self.in_flight, self.refusal(config, now), self.valid_token(now)) {
            // Within the interval after a success: the result of that fetch.
            (None, None, Some(token)) if !allowed => Decision::Serve(token),
            _ => self.wait_or_fail(config, now, Request { min_remaining: Duration::ZERO, can_fetch }),
        }
    }

    /// Decides for a caller who can use the stored token for another `remaining`, and so waits for at most 10 % of that.
    /// Starts a fetch if there is a `reason` to.
    fn wait_bounded(
        &mut self,
        config: &Config,
        now: TimePoint,
        reason: Option<FetchReason>,
        token: Arc<T>,
        remaining: Duration,
    ) -> Decision<T> {
        let soft_deadline = now.monotonic.saturating_add(remaining / 10);
        if let Some(reason) = reason {
            let (ticket, wait) = self.start_fetch(config, reason, now.monotonic, Some(soft_deadline));
            return Decision::FetchAndWait(ticket, wait);
        }
        let Some(in_flight) = &mut self.in_flight else { return Decision::Serve(token) };
        // The first waiter sets the deadline. Per-caller deadlines would make a hung source delay every request.
        let soft_deadline = *in_flight.soft_deadline.get_or_insert(soft_deadline);
        if now.monotonic < soft_deadline {
            Decision::Wait(in_flight.wait(config, Some(soft_deadline)))
        } else {
            Decision::Serve(token)
        }
    }

    /// Decides for a caller who cannot use the stored token.
    fn wait_or_fail(&mut self, config: &Config, now: TimePoint, request: Request) -> Decision<T> {
        if let Some(in_flight) = &self.in_flight {
            return Decision::Wait(in_flight.wait(config, None));
        }
        if let Some(error) = self.refusal(config, now) {
            return Decision::Fail(error);
        }
        let not_before = self.next_attempt(config).max(now.monotonic);
        if let Some(entry) = &self.entry
            && now.monotonic < not_before
            && !entry.was_valid_for(request.min_remaining)
        {
            // The source has just shown how long its tokens are valid.
            return Decision::Fail(entry.too_short(request.min_remaining, now));
        }
        if !request.can_fetch {
            return Decision::Fail(Error::no_runtime());
        }
        let reason = match self.fetch_reason(self.freshness_row(config, now).freshness) {
            FetchReason::NearExpiry => FetchReason::TooShort,
            reason => reason,
        };
        let (ticket, wait) = self.start_fetch(config, reason, not_before, None);
        Decision::FetchAndWait(ticket, wait)
    }

    fn start_fetch(
        &mut self,
        config: &Config,
        reason: FetchReason,
        not_before: Duration,
        soft_deadline: Option<Duration>,
    ) -> (FetchTicket, Wait) {
        self.fetches += 1;
        let in_flight = InFlight {
            id: FetchId(self.fetches),
            not_before,
            started: None,
            started_before_invalidation: false,
            soft_deadline,
        };
        let wait = in_flight.wait(config, soft_deadline);
        self.in_flight = Some(in_flight);
        (FetchTicket { reason, not_before }, wait)
    }

    /// The last error, while its backoff lasts.
    fn refusal(&self, config: &Config, now: TimePoint) -> Option<Error> {
        let failure = self.failure()?;
        let wait = self.next_attempt(config).saturating_sub(now.monotonic);
        (!wait.is_zero()).then(|| failure.error.with_retry_after(wait))
    }

    fn fetch_allowed(&self, config: &Config, now: TimePoint) -> bool {
        self.in_flight.is_none() && now.monotonic >= self.next_attempt(config)
    }

    /// The earliest start of the next fetch, in monotonic time.
    fn next_attempt(&self, config: &Config) -> Duration {
        let Some(last) = &self.last_attempt else { return Duration::ZERO };
        let paced = last.started.saturating_add(config.min_refresh_interval);
        last.failure.as_ref().map_or(paced, |failure| paced.max(failure.backoff_end))
    }

    fn failure(&self) -> Option<&Failure> {
        self.last_attempt.as_ref()?.failure.as_ref()
    }
}

impl InFlight {
    fn wait(&self, config: &Config, soft_deadline: Option<Duration>) -> Wait {
        Wait { soft_deadline, hard_deadline: self.hard_deadline(config) }
    }

    /// When the fetch has timed out.
    fn hard_deadline(&self, config: &Config) -> Duration {
        self.started.unwrap_or(self.not_before).saturating_add(config.fetch_timeout)
    }
}

#[cfg(test)]
mod tests;
