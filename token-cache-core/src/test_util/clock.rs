//! [`VirtualClock`]: time that only a test moves.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::clock::{Clock, TimePoint};

/// A clock that stands still until a test moves it. Clones share the same time.
///
/// It starts at 2026-01-01T00:00:00Z and needs no runtime.
#[derive(Clone)]
pub struct VirtualClock {
    time: Arc<watch::Sender<Time>>,
}

#[derive(Clone, Copy)]
struct Time {
    now: TimePoint,
    tick: Option<NonZeroU64>,
}

impl VirtualClock {
    /// Creates a clock that shows the start time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let clock = VirtualClock::new();
    /// assert_eq!(clock.now().monotonic(), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::start(Some(NonZeroU64::MIN))
    }

    /// Creates a clock without a [tick](Clock::tick), so that a cache reads the time at every read.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// assert_eq!(VirtualClock::without_tick().tick(), None);
    /// ```
    #[must_use]
    pub fn without_tick() -> Self {
        Self::start(None)
    }

    fn start(tick: Option<NonZeroU64>) -> Self {
        let now = TimePoint::new(Duration::ZERO, SystemTime::UNIX_EPOCH + START);
        Self { time: Arc::new(watch::Sender::new(Time { now, tick })) }
    }

    /// Advances monotonic time and wall time, and wakes the sleepers that are due.
    ///
    /// Monotonic time ends at [`Duration::MAX`]. Wall time does not change if the result is out of its range.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let (clock, before) = (VirtualClock::new(), VirtualClock::new().wall());
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(clock.now().monotonic(), Duration::from_secs(60));
    /// assert_eq!(clock.wall(), before + Duration::from_secs(60));
    /// ```
    pub fn advance(&self, duration: Duration) {
        self.update(|now| later(now, duration));
    }

    /// As [`advance`](Self::advance), but the [tick](Clock::tick) does not change. Less than 100 ms, as the contract of
    /// [`Clock::tick`] requires.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let clock = VirtualClock::new();
    /// let tick = clock.tick();
    /// clock.advance_within_tick(Duration::from_millis(1));
    /// assert_eq!(clock.tick(), tick);
    /// ```
    pub fn advance_within_tick(&self, duration: Duration) {
        self.time.send_modify(|time| time.now = later(time.now, duration));
    }

    /// Advances the wall time only, as a machine does that was suspended for `duration`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let (clock, before) = (VirtualClock::new(), VirtualClock::new().wall());
    /// clock.suspend(Duration::from_secs(8 * 3600));
    /// assert_eq!(clock.now().monotonic(), Duration::ZERO);
    /// assert_eq!(clock.wall(), before + Duration::from_secs(8 * 3600));
    /// ```
    pub fn suspend(&self, duration: Duration) {
        self.set_wall(self.wall() + duration);
    }

    /// Sets the wall time, forward or back. Monotonic time does not change.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let clock = VirtualClock::new();
    /// clock.set_wall(std::time::SystemTime::UNIX_EPOCH);
    /// assert_eq!(clock.wall(), std::time::SystemTime::UNIX_EPOCH);
    /// ```
    pub fn set_wall(&self, wall: SystemTime) {
        self.update(|now| TimePoint::new(now.monotonic(), wall));
    }

    /// Returns the wall time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let clock = VirtualClock::new();
    /// assert_eq!(clock.wall(), clock.now().wall());
    /// ```
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        self.now().wall()
    }

    /// Returns the wall time `duration` from now.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Clock;
    /// # use token_cache_core::test_util::VirtualClock;
    /// let clock = VirtualClock::new();
    /// let in_an_hour = clock.after(Duration::from_secs(3600));
    /// clock.advance(Duration::from_secs(3600));
    /// assert_eq!(clock.wall(), in_an_hour);
    /// ```
    #[must_use]
    pub fn after(&self, duration: Duration) -> SystemTime {
        self.wall() + duration
    }

    fn update(&self, change: impl FnOnce(TimePoint) -> TimePoint) {
        self.time.send_modify(|time| {
            *time = Time { now: change(time.now), tick: time.tick.map(|tick| tick.saturating_add(1)) };
        });
    }
}

fn later(now: TimePoint, duration: Duration) -> TimePoint {
    let wall = now.wall().checked_add(duration).unwrap_or_else(|| now.wall());
    TimePoint::new(now.monotonic().saturating_add(duration), wall)
}

impl Clock for VirtualClock {
    fn now(&self) -> TimePoint {
        self.time.borrow().now
    }

    /// Changes with each change of the time, so that reads take the same path as with the system's clock.
    fn tick(&self) -> Option<NonZeroU64> {
        self.time.borrow().tick
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        let mut time = self.time.subscribe();
        Box::pin(async move {
            // An error means that the clock was dropped: its time does not move any more.
            if time.wait_for(|time| time.now.monotonic() >= monotonic).await.is_err() {
                std::future::pending().await
            }
        })
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}

/// 2026-01-01T00:00:00Z.
const START: Duration = Duration::from_secs(1_767_225_600);
