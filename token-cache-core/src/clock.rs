//! [`Clock`]: where a cache reads the time.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::time::{ClockId, clock_gettime};

use crate::rt;

/// The only source of time of a cache.
///
/// The default is [`SystemClock`]. With another clock, such as `token_cache_testing::VirtualClock`, a test controls every
/// expiry, interval, backoff and timeout.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    ///
    /// Every read of the cache that finds a new [`tick`](Self::tick) calls this, so it should cost no more than reading two
    /// clocks.
    fn now(&self) -> TimePoint;

    /// Returns a coarse tick counter that is cheaper to read than the time, if there is one.
    ///
    /// It must change at least every 100 ms, and whenever one of the two clocks is set. A cache checks the time only once per
    /// tick. This can delay a refresh by one tick, but never an expiry: a token with less than 100 ms left is checked at every
    /// read. So is every token if there is no tick.
    fn tick(&self) -> Option<NonZeroU64> {
        None
    }

    /// Completes once the monotonic time of [`now`](Self::now) has reached `monotonic`.
    ///
    /// The future is polled in the runtime that fetches, or in the one whose caller waits for a fetch.
    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()>;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> TimePoint {
        (**self).now()
    }

    fn tick(&self) -> Option<NonZeroU64> {
        (**self).tick()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        (**self).sleep_until(monotonic)
    }
}

/// A point in time, read from two clocks.
///
/// Monotonic time never goes back, but on most systems it stops while the machine is suspended. Wall time continues, but can be
/// set. A cache keeps each expiry in both; the one that is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePoint {
    pub(crate) monotonic: Duration,
    pub(crate) wall: SystemTime,
}

impl TimePoint {
    /// Creates a point in time from the `monotonic` time since an origin that the clock chooses, and the wall time.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TimePoint;
    /// let start = TimePoint::new(Duration::ZERO, SystemTime::UNIX_EPOCH);
    /// assert_eq!((start.monotonic(), start.wall()), (Duration::ZERO, SystemTime::UNIX_EPOCH));
    /// ```
    #[must_use]
    pub const fn new(monotonic: Duration, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// Returns the monotonic time since the clock's origin.
    ///
    /// ```
    /// # use token_cache_core::{Clock, SystemClock};
    /// let (first, second) = (SystemClock::new().now(), SystemClock::new().now());
    /// assert!(first.monotonic() <= second.monotonic());
    /// ```
    #[must_use]
    pub const fn monotonic(&self) -> Duration {
        self.monotonic
    }

    /// Returns the wall time.
    ///
    /// ```
    /// # use token_cache_core::{Clock, SystemClock};
    /// assert!(SystemClock::new().now().wall() > std::time::SystemTime::UNIX_EPOCH);
    /// ```
    #[must_use]
    pub const fn wall(&self) -> SystemTime {
        self.wall
    }
}

/// The clocks of the operating system.
///
/// Sleeping works in any executor and needs no timer of it: a thread of this crate wakes the sleepers. It ends one
/// second after the last sleeper and the last cache that has fetched. Neither tokio's paused clock nor a blocked runtime delays them.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// Creates the clock.
    ///
    /// ```
    /// # use token_cache_core::{Clock, SystemClock};
    /// let now = SystemClock::new().now();
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system's clocks")]
    fn now(&self) -> TimePoint {
        TimePoint { monotonic: ORIGIN.elapsed(), wall: SystemTime::now() }
    }

    /// `CLOCK_MONOTONIC_COARSE` on Linux and Android: it changes every 1 to 10 ms, and when the kernel sets a clock or resumes.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn tick(&self) -> Option<NonZeroU64> {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        NonZeroU64::new((time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64))
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        match ORIGIN.checked_add(monotonic) {
            Some(instant) => Box::pin(rt::sleep_until(instant)),
            // Later than the platform can represent.
            None => Box::pin(std::future::pending()),
        }
    }
}

/// The clock of a cache. The system's is called directly: every hit reads its tick, and a call by a vtable would cost a tenth
/// of the hit.
#[derive(Clone, Debug)]
pub(crate) enum AnyClock {
    System(SystemClock),
    Custom(Arc<dyn Clock>),
}

impl Clock for AnyClock {
    fn now(&self) -> TimePoint {
        match self {
            Self::System(clock) => clock.now(),
            Self::Custom(clock) => clock.now(),
        }
    }

    #[inline]
    fn tick(&self) -> Option<NonZeroU64> {
        match self {
            Self::System(clock) => clock.tick(),
            Self::Custom(clock) => clock.tick(),
        }
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        match self {
            Self::System(clock) => clock.sleep_until(monotonic),
            Self::Custom(clock) => clock.sleep_until(monotonic),
        }
    }
}

/// The longest time between two [ticks](Clock::tick).
///
/// Ten times the period of the slowest kernel: a virtual machine that was not scheduled updates its coarse clock late.
pub(crate) const MAX_TICK: Duration = Duration::from_millis(100);

/// The origin of [`SystemClock`]'s monotonic time: `Instant` has none.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the system's clocks")]
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tick_changes() {
        let (clock, start) = (SystemClock::new(), SystemClock::new().now());
        let tick = clock.tick();
        while clock.tick() == tick {
            assert!(clock.now().monotonic() - start.monotonic() < Duration::from_secs(60), "the tick does not change");
        }
    }
}
