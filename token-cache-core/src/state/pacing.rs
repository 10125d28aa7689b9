//! When the next fetch may start, and when the next rejection is accepted.
//!
//! Both follow from what has failed or was rejected, from when that was, and from what can be returned now. Time counts that
//! has passed on either clock, so that a machine that was suspended does not wait once more.

use std::time::Duration;

use super::State;
use crate::clock::TimePoint;
use crate::config::Fallback;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};

/// A failed fetch.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) at: TimePoint,
    /// When the first of the consecutive failures was.
    pub(super) first: TimePoint,
    pub(super) consecutive_failures: u32,
    pub(super) jitter_sample: f64,
    /// How long the source asked to be left alone.
    pub(super) retry_after: Duration,
}

/// Tokens that were rejected one after the other.
#[derive(Clone, Copy)]
pub(super) struct Rejections {
    count: u32,
    last: TimePoint,
}

impl Failure {
    /// Whether an explicit `refresh` may start a fetch during the backoff: the caller may have fixed the cause.
    pub(super) fn yields_to_callers(&self) -> bool {
        self.is_permanent() || !self.retry_after.is_zero()
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.error.kind() == ErrorKind::Permanent
    }
}

impl<T> State<T> {
    /// The last error, while its backoff lasts.
    pub(super) fn refusal(&self, now: TimePoint) -> Option<Error> {
        let wait = self.next_attempt(now).remaining(now).unwrap_or(Duration::MAX);
        self.failure.as_ref().filter(|_| !wait.is_zero()).map(|failure| failure.error.with_retry_after(wait))
    }

    pub(super) fn fetch_allowed(&self, now: TimePoint) -> bool {
        self.in_flight.is_none() && self.next_attempt(now).is_reached(now)
    }

    /// The earliest start of the next fetch.
    pub(super) fn next_attempt(&self, now: TimePoint) -> Deadline {
        let Some(failure) = &self.failure else { return self.after_interval() };
        let fallback = match self.freshness_row(now).usable {
            Some(usable) => Fallback::Token { remaining: usable.at_most_until.remaining(failure.at) },
            None if failure.is_permanent() => Fallback::PermanentError,
            None => Fallback::Nothing { outage: elapsed(failure.first, failure.at) },
        };
        let backoff = self.config.backoff(failure.consecutive_failures, fallback, failure.jitter_sample);
        Deadline::after(failure.at, backoff.max(failure.retry_after)).or_later(self.after_interval(), now)
    }

    /// The end of the `min_refresh_interval`.
    pub(super) fn after_interval(&self) -> Deadline {
        self.after(self.config.min_refresh_interval)
    }

    /// `interval` after the start of the last fetch.
    pub(super) fn after(&self, interval: Duration) -> Deadline {
        self.last_start.map_or(Deadline::PAST, |start| Deadline::after(start, interval))
    }

    /// Accepts the rejection of a token, or returns the time until the next one is accepted.
    ///
    /// Tokens that are rejected one after the other are not the cause: a service rejects whatever it gets.
    pub(super) fn accept_rejection(&mut self, now: TimePoint) -> Result<(), Duration> {
        let count = match self.rejections {
            Some(Rejections { count, last }) => {
                let next = Deadline::after(last, self.config.rejection_interval(count));
                if next.not_reached(now) {
                    return Err(next.remaining(now).unwrap_or(Duration::MAX));
                }
                // A token that has lived for longer than any interval was accepted by all services.
                if elapsed(last, now) > self.config.max_backoff.saturating_mul(2) { 1 } else { count.saturating_add(1) }
            }
            None => 1,
        };
        self.rejections = Some(Rejections { count, last: now });
        Ok(())
    }
}

/// The time from `start` to `end`, on the clock that has advanced more.
fn elapsed(start: TimePoint, end: TimePoint) -> Duration {
    let wall = end.wall.duration_since(start.wall).unwrap_or_default();
    end.monotonic.saturating_sub(start.monotonic).max(wall)
}
