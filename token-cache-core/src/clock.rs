//! Time: the [`Clock`] a cache asks, the [`TimePoint`] it answers with, and deadlines kept on both of its hands.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Where a cache gets the time from, all of it.
///
/// [`SystemClock`] is the default. A test brings a clock of its own (`token_cache_testing::VirtualClock`) and then owns
/// every expiry, interval, backoff and timeout.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now. Called on every read of the cache that finds the [`tick`](Self::tick) changed, so it should cost no
    /// more than reading two clocks.
    fn now(&self) -> TimePoint;

    /// A number that is cheaper to read than the time, and stays the same for a short while only, if there is one.
    ///
    /// A reader relies on what it found before for as long as this stands still. So it has to change within 100 ms, and
    /// with it a hand that is set or jumps. That can make a refresh late by that much; a token that has less than 100 ms left
    /// is held against [`now`](Self::now) at each read, and so is every token where there is no tick.
    fn tick(&self) -> Option<u64> {
        None
    }

    /// Ends once the monotonic hand of [`now`](Self::now) has reached `monotonic`, at once if it already has.
    ///
    /// The future is polled on the runtime that fetches, or on the one that waits for a fetch.
    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()>;
}

/// One instant, read on two clocks.
///
/// The monotonic hand never goes back, but on most systems it stands still while the machine sleeps. The wall clock
/// goes on, but can be set. A cache keeps every expiry on both, and the stricter one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePoint {
    pub(crate) monotonic: Duration,
    pub(crate) wall: SystemTime,
}

impl TimePoint {
    /// The instant at which the monotonic hand stood `monotonic` past an origin of the clock's choice, and the wall
    /// clock showed `wall`.
    #[must_use]
    pub const fn new(monotonic: Duration, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// Time since an origin that is the same for all moments of one clock.
    #[must_use]
    pub const fn monotonic(&self) -> Duration {
        self.monotonic
    }

    /// What the wall clock showed.
    #[must_use]
    pub const fn wall(&self) -> SystemTime {
        self.wall
    }
}

/// The machine's own clocks, and tokio's timer to sleep on.
///
/// Sleeping needs a tokio runtime with its time driver enabled, as `#[tokio::main]` and `enable_all` give.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clocks.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn now(&self) -> TimePoint {
        TimePoint { monotonic: ORIGIN.elapsed(), wall: SystemTime::now() }
    }

    /// The monotonic time of the kernel's last tick, which is 10 ms ago at the most. A clock that is set and a machine that
    /// wakes up make the kernel move it on.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn tick(&self) -> Option<u64> {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::MonotonicCoarse);
        Some((tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(tv_nsec as u64))
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        // A deadline past the end of time is one that never comes.
        match ORIGIN.checked_add(monotonic) {
            Some(instant) => Box::pin(tokio::time::sleep_until(instant.into())),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// Longer than any [tick](Clock::tick): ten times as long as that of the slowest kernel, because a virtual machine whose
/// timekeeper is not run makes up for it only after some.
pub(crate) const LONGEST_TICK: Duration = Duration::from_millis(100);

/// What [`SystemClock`] counts from: `Instant` has no origin of its own to give.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A deadline on both hands of a clock; whichever is reached first, counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    monotonic: Duration,
    /// `None` where the wall clock has no say, or the instant lies past the end of its range.
    wall: Option<SystemTime>,
}

impl Deadline {
    /// Never reached.
    pub(crate) const NEVER: Self = Self { monotonic: Duration::MAX, wall: None };

    /// Reached since ever.
    pub(crate) const PAST: Self = Self { monotonic: Duration::ZERO, wall: None };

    /// Reached when the monotonic hand is, for what has nothing to do with the world outside: pacing and patience.
    pub(crate) const fn monotonic(at: Duration) -> Self {
        Self { monotonic: at, wall: None }
    }

    /// `span` after `start`, on both hands.
    pub(crate) fn after(start: TimePoint, span: Duration) -> Self {
        Self { monotonic: start.monotonic.saturating_add(span), wall: start.wall.checked_add(span) }
    }

    /// At `wall`, and on the monotonic hand as far from `start` as `wall` is.
    pub(crate) fn at(wall: SystemTime, start: TimePoint) -> Self {
        match wall.duration_since(start.wall) {
            Ok(span) => Self::after(start, span),
            Err(_) => Self::PAST,
        }
    }

    /// `span` earlier.
    pub(crate) fn before(self, span: Duration) -> Self {
        if self == Self::NEVER {
            return self;
        }
        match self.wall.map(|wall| wall.checked_sub(span)) {
            Some(None) => Self::PAST,
            wall => Self { monotonic: self.monotonic.saturating_sub(span), wall: wall.flatten() },
        }
    }

    /// `span` later.
    pub(crate) fn plus(self, span: Duration) -> Self {
        Self { monotonic: self.monotonic.saturating_add(span), wall: self.wall.and_then(|wall| wall.checked_add(span)) }
    }

    /// The earlier one, hand by hand.
    pub(crate) fn min(self, other: Self) -> Self {
        let wall = match (self.wall, other.wall) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { monotonic: self.monotonic.min(other.monotonic), wall }
    }

    /// Where the monotonic hand stands when it is reached.
    pub(crate) const fn on_monotonic(&self) -> Duration {
        self.monotonic
    }

    /// Whether neither hand has reached it.
    #[inline]
    pub(crate) fn is_ahead_of(&self, now: TimePoint) -> bool {
        now.monotonic < self.monotonic && self.wall.is_none_or(|wall| now.wall < wall)
    }

    /// Whether at least `span` is left.
    pub(crate) fn leaves(&self, span: Duration, now: TimePoint) -> bool {
        self.remaining(now).is_none_or(|remaining| remaining >= span)
    }

    /// Time left by the stricter hand, zero once reached, `None` if it never will be.
    pub(crate) fn remaining(&self, now: TimePoint) -> Option<Duration> {
        if *self == Self::NEVER {
            return None;
        }
        let monotonic = self.monotonic.saturating_sub(now.monotonic);
        let wall = self.wall.map_or(Duration::MAX, |wall| wall.duration_since(now.wall).unwrap_or_default());
        Some(monotonic.min(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: TimePoint = TimePoint::new(HOUR, SystemTime::UNIX_EPOCH);

    fn later(monotonic: Duration, wall: Duration) -> TimePoint {
        TimePoint::new(START.monotonic + monotonic, START.wall + wall)
    }

    #[test]
    fn p17_the_stricter_hand_counts() {
        let deadline = Deadline::at(START.wall + HOUR, START);
        assert_eq!(deadline.remaining(later(HOUR / 4, HOUR / 4)), Some(HOUR * 3 / 4));
        assert_eq!(deadline.remaining(later(HOUR / 4, HOUR / 2)), Some(HOUR / 2), "asleep for a while");
        assert_eq!(deadline.remaining(later(HOUR / 2, Duration::ZERO)), Some(HOUR / 2), "clock set back");
        assert!(!deadline.is_ahead_of(later(HOUR, Duration::ZERO)));
        assert!(!deadline.is_ahead_of(later(Duration::ZERO, HOUR)));
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn the_machines_tick_goes_on() {
        let (clock, began) = (SystemClock::new(), SystemClock::new().now());
        let tick = clock.tick().unwrap();
        while clock.tick() == Some(tick) {
            assert!(clock.now().monotonic() - began.monotonic() < Duration::from_secs(10), "the same for ever");
        }
    }

    #[test]
    fn no_span_overflows() {
        let far = Deadline::after(START, Duration::MAX);
        assert!(far.is_ahead_of(later(HOUR, HOUR)));
        assert!(far.before(HOUR).is_ahead_of(later(HOUR, HOUR)));
        assert!(!Deadline::after(START, HOUR).before(Duration::MAX).is_ahead_of(START));
        assert_eq!(Deadline::NEVER.before(Duration::MAX), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.remaining(START), None);
    }

    #[test]
    fn an_instant_before_the_start_is_past() {
        let deadline = Deadline::at(START.wall - HOUR, START);
        assert_eq!(deadline.remaining(START), Some(Duration::ZERO));
        assert_eq!(
            deadline.remaining(TimePoint::new(Duration::ZERO, SystemTime::UNIX_EPOCH - HOUR * 2)),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn the_earlier_of_two_is_taken_hand_by_hand() {
        let both = Deadline::after(START, HOUR).min(Deadline::monotonic(START.monotonic + HOUR / 2));
        assert!(both.is_ahead_of(later(HOUR / 4, HOUR / 4)));
        assert!(!both.is_ahead_of(later(HOUR / 2, Duration::ZERO)));
        assert!(!both.is_ahead_of(later(Duration::ZERO, HOUR)));
        assert_eq!(Deadline::NEVER.min(both), both);
    }
}
