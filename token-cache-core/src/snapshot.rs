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
    pub(crate) fn is_servable(&self, clock: &impl Clock) -> bool {
        // Read before the time: if the tick changes in between, the stored one is already outdated.
        let tick = clock.tick().map_or(0, u64::from);
        (tick != 0 && self.checked_tick.load(Ordering::Relaxed) == tick) || self.check(clock, tick)
    }

    #[inline(never)]
    fn check(&self, clock: &impl Clock, tick: u64) -> bool {
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
    pub(crate) fn is_servable_for(&self, duration: Duration, clock: &impl Clock) -> bool {
        self.is_servable(clock) && (duration.is_zero() || self.expires.has_at_least(duration, clock.now()))
    }

    pub(crate) fn is_valid(&self, clock: &impl Clock) -> bool {
        self.expires.not_reached(clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::VirtualClock;

    const SECOND: Duration = Duration::from_secs(1);

    /// A token that is served for 10 s and expires after 20 s.
    fn snapshot(clock: &VirtualClock) -> Snapshot<&'static str> {
        let after = |seconds| Deadline::after(clock.now(), seconds * SECOND);
        Snapshot::from((Arc::new("a"), after(10), after(20)))
    }

    #[test]
    fn a_token_is_servable_until_its_deadline() {
        let clock = VirtualClock::new();
        let snapshot = snapshot(&clock);
        assert!(snapshot.is_servable(&clock) && snapshot.is_servable(&clock));
        clock.advance(10 * SECOND - Duration::from_nanos(1));
        assert!(snapshot.is_servable(&clock));
        clock.advance(Duration::from_nanos(1));
        assert!(!snapshot.is_servable(&clock));
    }

    #[test]
    fn the_time_is_checked_once_per_tick() {
        let clock = VirtualClock::new();
        let snapshot = snapshot(&clock);
        assert!(snapshot.is_servable(&clock));
        clock.advance_within_tick(15 * SECOND);
        assert!(snapshot.is_servable(&clock), "already checked in this tick");
        clock.advance(Duration::ZERO);
        assert!(!snapshot.is_servable(&clock), "another tick");
    }

    #[test]
    fn p02_a_token_close_to_its_expiry_is_checked_each_time() {
        let clock = VirtualClock::new();
        let end = Deadline::after(clock.now(), MAX_TICK);
        let snapshot = Snapshot::from((Arc::new("a"), end, end));
        clock.advance(Duration::from_nanos(1));
        assert!(snapshot.is_servable(&clock));
        clock.advance_within_tick(MAX_TICK);
        assert!(!snapshot.is_servable(&clock));
    }

    #[test]
    fn without_a_tick_the_time_is_checked_each_time() {
        let clock = VirtualClock::without_tick();
        let snapshot = snapshot(&clock);
        assert!(snapshot.is_servable(&clock));
        clock.advance(10 * SECOND);
        assert!(!snapshot.is_servable(&clock));
    }

    #[test]
    fn p05_a_required_remaining_time_is_checked() {
        let clock = VirtualClock::new();
        let snapshot = snapshot(&clock);
        assert!(snapshot.is_servable_for(20 * SECOND, &clock));
        assert!(!snapshot.is_servable_for(21 * SECOND, &clock));
        clock.advance(10 * SECOND);
        assert!(!snapshot.is_servable_for(Duration::ZERO, &clock), "not servable");
        assert!(!snapshot.is_servable_for(SECOND, &clock), "not servable");
    }

    #[test]
    fn p06_a_token_is_valid_until_it_expires() {
        let clock = VirtualClock::new();
        let snapshot = snapshot(&clock);
        clock.advance(20 * SECOND - Duration::from_nanos(1));
        assert!(snapshot.is_valid(&clock));
        clock.advance(Duration::from_nanos(1));
        assert!(!snapshot.is_valid(&clock));
    }
}
