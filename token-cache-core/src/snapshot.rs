//! [`Snapshot`]: what readers see of a cache, without a lock.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, MAX_TICK};
use crate::deadline::Deadline;
use crate::rt::{AtomicU64, Ordering};

/// The stored token, and until when it can be returned without a decision.
pub(crate) struct Snapshot<T> {
    pub(crate) token: Arc<T>,
    serve_until: Deadline,
    expires: Deadline,
    /// The tick of the clock during which the token was last found servable. Zero: never.
    ///
    /// Relaxed is enough: the value says something about this snapshot and the clock only, and both are read by every reader.
    checked_tick: AtomicU64,
}

impl<T> From<(Arc<T>, Deadline, Deadline)> for Snapshot<T> {
    fn from((token, serve_until, expires): (Arc<T>, Deadline, Deadline)) -> Self {
        Self { token, serve_until, expires, checked_tick: AtomicU64::new(0) }
    }
}

impl<T> Snapshot<T> {
    /// Whether the token can be returned now. Writes to memory once per tick of the clock.
    #[inline]
    pub(crate) fn is_servable(&self, clock: &dyn Clock) -> bool {
        // Read before the time: if the tick changes in between, the stored one is already outdated.
        let tick = clock.tick().map_or(0, u64::from);
        (tick != 0 && self.checked_tick.load(Ordering::Relaxed) == tick) || self.check(clock, tick)
    }

    #[inline(never)]
    fn check(&self, clock: &dyn Clock, tick: u64) -> bool {
        let now = clock.now();
        if !self.serve_until.not_reached(now) {
            return false;
        }
        // A decision may be late by one tick, an expiry must not.
        if self.expires.has_at_least(MAX_TICK, now) {
            self.checked_tick.store(tick, Ordering::Relaxed);
        }
        true
    }

    /// Whether the token can be returned now, and is valid for at least `duration`.
    pub(crate) fn is_servable_for(&self, duration: Duration, clock: &dyn Clock) -> bool {
        self.is_servable(clock) && (duration.is_zero() || self.expires.has_at_least(duration, clock.now()))
    }

    pub(crate) fn is_valid(&self, clock: &dyn Clock) -> bool {
        self.expires.not_reached(clock.now())
    }
}
