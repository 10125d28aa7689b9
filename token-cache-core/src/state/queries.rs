//! What follows from the state for readers, for `status` and for the keep-warm task.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::freshness::FetchDue;
use super::{Displaced, InFlight, State};
use crate::clock::TimePoint;
use crate::config::KEEP_WARM_INTERVAL;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::status::{FetchState, Freshness, Status};

/// What readers see.
pub(crate) struct Serving<T> {
    pub(crate) token: Arc<T>,
    pub(crate) generation: u64,
    pub(crate) expires: Deadline,
    /// Until when readers can return the token without a decision.
    pub(crate) serve_until: Deadline,
}

/// What the keep-warm task has to do.
pub(crate) enum KeepWarm {
    /// Wait for the current fetch.
    Wait,
    /// Sleep until this monotonic time.
    Sleep(Duration),
    /// End: no caller has asked for a token for the configured time.
    Stop,
}

impl<T> State<T> {
    /// What a caller gets after a fetch that did not help. `None` if there is no token, but another fetch may help.
    pub(crate) fn fallback(&self, now: TimePoint, min_remaining: Duration) -> Option<Result<Arc<T>, Error>> {
        let row = self.freshness_row(now);
        let usable = row.usable?;
        match usable.token_for(min_remaining, now) {
            Some((token, _)) => Some(Ok(token)),
            None if row.freshness == Freshness::Expired => None,
            None => Some(Err(self.error(usable.entry.too_short(min_remaining, now)))),
        }
    }

    pub(crate) fn serving(&self, now: TimePoint) -> Option<Serving<T>> {
        let entry = self.entry.as_ref()?;
        let row = self.freshness_row(now);
        let next_decision = match &self.in_flight {
            Some(in_flight) => Deadline::at_monotonic(in_flight.hard_deadline(&self.config)),
            None => self.next_attempt(now),
        };
        let serve_until = match (row.usable, row.fetch) {
            (None, _) => Deadline::PAST,
            (Some(_), FetchDue::No) => row.ends,
            (Some(_), FetchDue::First) if self.has_waiters(now) => Deadline::PAST,
            (Some(_), FetchDue::Background | FetchDue::First) => row.ends.min(next_decision),
        };
        let serve_until = match self.config.keep_warm {
            // Readers must ask for a decision now and then, so that `last_access` is known.
            Some(idle) => serve_until.min(Deadline::at_monotonic(self.last_access.saturating_add(idle / 2))),
            None => serve_until,
        };
        let (token, generation, expires) = (Arc::clone(&entry.token), self.generation, entry.expires);
        Some(Serving { token, generation, expires, serve_until })
    }

    /// Whether callers who have a usable token still wait for the current fetch.
    fn has_waiters(&self, now: TimePoint) -> bool {
        self.in_flight.is_some_and(|in_flight| in_flight.soft_deadline.is_none_or(|end| now.monotonic < end))
    }

    /// The token that the next one must differ from.
    pub(crate) fn rejected(&self) -> Option<&Arc<T>> {
        let rejected = self.entry.as_ref().filter(|entry| entry.rejected).map(|entry| &entry.token);
        rejected.or(self.rejected.as_ref())
    }

    pub(crate) fn stored(&self) -> Option<&Arc<T>> {
        self.entry.as_ref().map(|entry| &entry.token)
    }

    pub(crate) fn status(&self, now: TimePoint) -> Status {
        let row = self.freshness_row(now);
        Status {
            generation: self.generation,
            freshness: row.freshness,
            age: self.entry.as_ref().map(|entry| now.monotonic.saturating_sub(entry.stored_at.monotonic)),
            remaining: self.entry.as_ref().and_then(|entry| entry.expires.remaining(now)),
            until_refresh: self.entry.as_ref().and_then(|entry| entry.refresh.remaining(now)),
            serving_expired: row.freshness == Freshness::Expired && row.usable.is_some(),
            fetch: match self.in_flight {
                None => FetchState::Idle,
                Some(InFlight { started: None, .. }) => FetchState::Waiting,
                Some(InFlight { started: Some(_), .. }) => FetchState::Running,
            },
            failures: self.failures(),
            last_error: self.failure.as_ref().map(|failure| failure.error.clone()),
            next_attempt: self.next_attempt(now).remaining(now).unwrap_or(Duration::MAX),
        }
    }

    /// The generation for which serving an expired token starts now. Once per token.
    pub(crate) fn take_stale_event(&mut self, now: TimePoint) -> Option<u64> {
        let starts = self.last_stale_event != self.generation && self.status(now).serving_expired;
        starts.then(|| {
            self.last_stale_event = self.generation;
            self.generation
        })
    }

    pub(crate) fn take_displaced(&mut self) -> Displaced<T> {
        mem::take(&mut self.displaced)
    }

    /// What to do so that the next caller finds a fresh token. A subscriber counts as a reader.
    pub(crate) fn keep_warm(&mut self, now: TimePoint, has_subscribers: bool) -> KeepWarm {
        if has_subscribers {
            self.last_access = now.monotonic;
        }
        let idle = now.monotonic.saturating_sub(self.last_access);
        // Reads are recorded twice per `max_idle`, so the last one may have been that much later.
        if self.config.keep_warm.is_none_or(|max_idle| idle >= max_idle.saturating_add(max_idle / 2)) {
            return KeepWarm::Stop;
        }
        let row = self.freshness_row(now);
        if self.in_flight.is_none() {
            let reason = self.fetch_reason(row.freshness);
            let next = match row.fetch {
                FetchDue::No => row.ends,
                // Not without a pause, if there is no interval and the tokens of the source are always due.
                _ => self.after(KEEP_WARM_INTERVAL).or_later(self.next_attempt(now), now),
            };
            if next.not_reached(now) {
                // Not longer: the token may be rejected, and the machine suspended.
                return KeepWarm::Sleep(next.monotonic().min(now.monotonic.saturating_add(MAX_SLEEP)));
            }
            self.start_fetch(reason, now);
        }
        KeepWarm::Wait
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) const fn in_flight(&self) -> Option<InFlight> {
        self.in_flight
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failure.as_ref().map_or(0, |failure| failure.consecutive_failures)
    }
}

/// The longest sleep for a deadline that may be reached earlier on the wall clock.
pub(crate) const MAX_SLEEP: Duration = Duration::from_secs(5);
