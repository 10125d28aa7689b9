//! [`Snapshot`]: what readers see of a cache, without a lock.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, MAX_TICK};
use crate::deadline::Deadline;
use crate::rt::{AtomicU64, Ordering};
use crate::state::Serving;

/// The stored token, and until when it can be returned without a decision.
pub(crate) struct Snapshot<T> {
    pub(crate) token: Arc<T>,
    pub(crate) generation: u64,
    /// Shared with the views that have converted the token.
    pub(crate) validity: Arc<Validity>,
}

/// Whether what was made from a snapshot can be returned now.
pub(crate) struct Validity {
    pub(crate) expires: Deadline,
    serve_until: Deadline,
    /// The tick of the clock during which the token was last found servable. Zero: never. [`RETIRED`]: the snapshot was
    /// replaced.
    ///
    /// Relaxed is enough: the value says something about this snapshot and the clock only. Who knows that the snapshot was
    /// replaced reads that.
    checked_tick: AtomicU64,
}

impl<T> From<Serving<T>> for Snapshot<T> {
    fn from(Serving { token, generation, expires, serve_until }: Serving<T>) -> Self {
        Self { token, generation, validity: Arc::new(Validity::new(serve_until, expires)) }
    }
}

impl Validity {
    fn new(serve_until: Deadline, expires: Deadline) -> Self {
        Self { expires, serve_until, checked_tick: AtomicU64::new(0) }
    }

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
        let seen = self.checked_tick.load(Ordering::Relaxed);
        if seen == RETIRED || self.serve_until.is_reached(now) {
            return false;
        }
        // A decision may be late by one tick, an expiry must not.
        if tick == 0 || !self.expires.has_at_least(MAX_TICK, now) {
            return true;
        }
        let exchanged = self.checked_tick.compare_exchange(seen, tick, Ordering::Relaxed, Ordering::Relaxed);
        exchanged != Err(RETIRED)
    }

    /// Whether the token can be returned now, and is valid for at least `duration`.
    #[inline]
    pub(crate) fn is_servable_for(&self, duration: Duration, clock: &impl Clock) -> bool {
        self.is_servable(clock) && (duration.is_zero() || self.expires.has_at_least(duration, clock.now()))
    }

    /// The tick in which the token was last found servable. Zero if that is unknown.
    #[cfg(feature = "keyed")]
    pub(crate) fn checked_tick(&self) -> u64 {
        match self.checked_tick.load(Ordering::Relaxed) {
            RETIRED => 0,
            tick => tick,
        }
    }

    pub(crate) fn is_valid(&self, clock: &impl Clock) -> bool {
        self.expires.not_reached(clock.now())
    }

    /// From now on nothing that was made from this snapshot is servable. Called before the next snapshot is published.
    pub(crate) fn retire(&self) {
        // Not a store: loom does not see that none can precede a `compare_exchange` that has read an older value.
        self.checked_tick.swap(RETIRED, Ordering::Relaxed);
    }
}

const RETIRED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::VirtualClock;

    const SECOND: Duration = Duration::from_secs(1);

    /// Of a token that is served for 10 s and expires after 20 s.
    fn validity(clock: &VirtualClock) -> Validity {
        let after = |seconds| Deadline::after(clock.now(), seconds * SECOND);
        Validity::new(after(10), after(20))
    }

    #[test]
    fn a_token_is_servable_until_its_deadline() {
        let clock = VirtualClock::new();
        let validity = validity(&clock);
        assert!(validity.is_servable(&clock) && validity.is_servable(&clock));
        clock.advance(10 * SECOND - Duration::from_nanos(1));
        assert!(validity.is_servable(&clock));
        clock.advance(Duration::from_nanos(1));
        assert!(!validity.is_servable(&clock));
    }

    #[test]
    fn the_time_is_checked_once_per_tick() {
        let clock = VirtualClock::new();
        let validity = validity(&clock);
        assert!(validity.is_servable(&clock));
        clock.advance_within_tick(15 * SECOND);
        assert!(validity.is_servable(&clock), "already checked in this tick");
        clock.advance(Duration::ZERO);
        assert!(!validity.is_servable(&clock), "another tick");
    }

    #[test]
    fn p02_a_token_close_to_its_expiry_is_checked_each_time() {
        let clock = VirtualClock::new();
        let end = Deadline::after(clock.now(), MAX_TICK);
        let validity = Validity::new(end, end);
        clock.advance(Duration::from_nanos(1));
        assert!(validity.is_servable(&clock));
        clock.advance_within_tick(MAX_TICK);
        assert!(!validity.is_servable(&clock));
    }

    #[test]
    fn without_a_tick_the_time_is_checked_each_time() {
        let clock = VirtualClock::without_tick();
        let validity = validity(&clock);
        assert!(validity.is_servable(&clock));
        clock.advance(10 * SECOND);
        assert!(!validity.is_servable(&clock));
    }

    #[test]
    fn a_retired_snapshot_is_never_servable() {
        for clock in [VirtualClock::new(), VirtualClock::without_tick()] {
            let validity = validity(&clock);
            assert!(validity.is_servable(&clock));
            validity.retire();
            assert!(!validity.is_servable(&clock) && !validity.is_servable(&clock));
            assert!(validity.is_valid(&clock), "peek still returns it");
        }
    }

    /// `TokenCaches` sees by it when a key was last read.
    #[cfg(feature = "keyed")]
    #[test]
    fn the_tick_of_the_last_check_is_known_until_the_snapshot_is_replaced() {
        let clock = VirtualClock::new();
        let validity = validity(&clock);
        assert_eq!(validity.checked_tick(), 0);
        for _ in 0..2 {
            clock.advance(Duration::from_millis(1));
            assert!(validity.is_servable(&clock));
            assert_eq!(Some(validity.checked_tick()), clock.tick().map(u64::from));
        }
        validity.retire();
        assert_eq!(validity.checked_tick(), 0);
    }

    #[test]
    fn p05_a_required_remaining_time_is_checked() {
        let clock = VirtualClock::new();
        let validity = validity(&clock);
        assert!(validity.is_servable_for(20 * SECOND, &clock));
        assert!(!validity.is_servable_for(21 * SECOND, &clock));
        clock.advance(10 * SECOND);
        assert!(!validity.is_servable_for(Duration::ZERO, &clock), "not servable");
        assert!(!validity.is_servable_for(SECOND, &clock), "not servable");
    }

    #[test]
    fn p06_a_token_is_valid_until_it_expires() {
        let clock = VirtualClock::new();
        let validity = validity(&clock);
        clock.advance(20 * SECOND - Duration::from_nanos(1));
        assert!(validity.is_valid(&clock));
        clock.advance(Duration::from_nanos(1));
        assert!(!validity.is_valid(&clock));
    }
}
