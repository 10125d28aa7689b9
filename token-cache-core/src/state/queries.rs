//! What follows from the state for readers, for `status` and for the keep-warm task.

use std::sync::Arc;
use std::time::Duration;

use super::freshness::FetchDue;
use super::{InFlight, State};
use crate::clock::TimePoint;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::status::{Freshness, Status};

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
        match row.usable_for(min_remaining, now) {
            Some((token, _)) => Some(Ok(token)),
            None if row.freshness == Freshness::Expired => None,
            None => row.usable.map(|(entry, _)| Err(entry.too_short(min_remaining, now))),
        }
    }

    /// The stored token, until when readers can return it without a decision, and its expiry.
    pub(crate) fn serving(&self, now: TimePoint) -> Option<(Arc<T>, Deadline, Deadline)> {
        let entry = self.entry.as_ref()?;
        let row = self.freshness_row(now);
        let next_decision = match &self.in_flight {
            Some(in_flight) => in_flight.hard_deadline(&self.config),
            None => self.next_attempt(),
        };
        let serve_until = match (row.usable, row.fetch) {
            (None, _) => Deadline::PAST,
            (Some(_), FetchDue::No) => row.ends,
            (Some(_), FetchDue::First) if self.has_waiters(now) => Deadline::PAST,
            (Some(_), FetchDue::Background | FetchDue::First) => row.ends.min(Deadline::at_monotonic(next_decision)),
        };
        let serve_until = match self.config.keep_warm {
            // Readers must ask for a decision now and then, so that `last_access` is known.
            Some(idle) => serve_until.min(Deadline::at_monotonic(self.last_access.saturating_add(idle / 2))),
            None => serve_until,
        };
        Some((Arc::clone(&entry.token), serve_until, entry.expires))
    }

    /// Whether callers who have a usable token still wait for the current fetch.
    fn has_waiters(&self, now: TimePoint) -> bool {
        self.in_flight.is_some_and(|in_flight| in_flight.soft_deadline.is_none_or(|end| now.monotonic < end))
    }

    pub(crate) fn status(&self, now: TimePoint) -> Status {
        let row = self.freshness_row(now);
        Status {
            generation: self.generation,
            freshness: row.freshness,
            age: self.entry.as_ref().map(|entry| now.monotonic.saturating_sub(entry.stored_at.monotonic)),
            remaining: self.entry.as_ref().and_then(|entry| entry.expires.remaining(now)),
            serving_expired: row.freshness == Freshness::Expired && row.usable.is_some(),
            refreshing: self.in_flight.is_some(),
            failures: self.failures(),
            last_error: self.failure.as_ref().map(|failure| failure.error.clone()),
            next_attempt: self.next_attempt().saturating_sub(now.monotonic),
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

    /// What to do so that the next caller finds a fresh token.
    pub(crate) fn keep_warm(&mut self, now: TimePoint) -> KeepWarm {
        let idle = now.monotonic.saturating_sub(self.last_access);
        if self.config.keep_warm.is_none_or(|max_idle| idle >= max_idle) {
            return KeepWarm::Stop;
        }
        let row = self.freshness_row(now);
        if self.in_flight.is_none() {
            if matches!(row.fetch, FetchDue::No) {
                // Not longer: the wall clock may be set, and the token invalidated.
                return KeepWarm::Sleep(row.ends.monotonic().min(now.monotonic.saturating_add(MAX_SLEEP)));
            }
            if self.next_attempt() > now.monotonic {
                return KeepWarm::Sleep(self.next_attempt());
            }
            self.start_fetch(self.fetch_reason(row.freshness), now.monotonic, None);
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

const MAX_SLEEP: Duration = Duration::from_secs(60);
