//! [`VirtualClock`]: time that moves when the test says so.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use token_cache_core::{Clock, TimePoint};
use tokio::sync::watch;

/// A clock that stands still until it is told to move. Clones are the same clock.
///
/// It starts on 1 January 2026, and needs no runtime.
#[derive(Clone)]
pub struct VirtualClock {
    hands: Arc<watch::Sender<Hands>>,
}

/// The time, and how often it was changed.
#[derive(Clone, Copy)]
struct Hands {
    now: TimePoint,
    tick: u64,
}

impl VirtualClock {
    /// A clock that stands at its start.
    #[must_use]
    pub fn new() -> Self {
        let now = TimePoint::new(Duration::ZERO, SystemTime::UNIX_EPOCH + START);
        Self { hands: Arc::new(watch::Sender::new(Hands { now, tick: 0 })) }
    }

    /// Lets time go by on both hands, and wakes whoever slept until then.
    pub fn advance(&self, span: Duration) {
        self.set(|now| TimePoint::new(now.monotonic().saturating_add(span), now.wall() + span));
    }

    /// Lets time go by as on a machine that is asleep: the wall clock goes on, the monotonic hand stands still.
    pub fn suspend(&self, span: Duration) {
        self.set_wall(self.wall() + span);
    }

    /// Sets the wall clock, forward or back. The monotonic hand does not move.
    pub fn set_wall(&self, wall: SystemTime) {
        self.set(|now| TimePoint::new(now.monotonic(), wall));
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        self.now().wall()
    }

    /// What the wall clock will show `span` from now.
    #[must_use]
    pub fn after(&self, span: Duration) -> SystemTime {
        self.wall() + span
    }

    fn set(&self, change: impl FnOnce(TimePoint) -> TimePoint) {
        self.hands.send_modify(|hands| *hands = Hands { now: change(hands.now), tick: hands.tick + 1 });
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> TimePoint {
        self.hands.borrow().now
    }

    /// Another one whenever the time was changed: readers go the way that they go on the machine's own clock.
    fn tick(&self) -> Option<u64> {
        Some(self.hands.borrow().tick)
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        let mut hands = self.hands.subscribe();
        Box::pin(async move {
            // A clock that is gone moves no more.
            if hands.wait_for(|hands| hands.now.monotonic() >= monotonic).await.is_err() {
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

/// 1 January 2026.
const START: Duration = Duration::from_secs(1_767_225_600);
