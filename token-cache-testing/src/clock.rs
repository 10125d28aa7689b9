//! [`VirtualClock`]: time that moves when the test says so.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use token_cache_core::{Clock, Moment};
use tokio::sync::watch;

/// A clock that stands still until it is told to move. Clones are the same clock.
///
/// It starts on 1 January 2026, and needs no runtime.
#[derive(Clone)]
pub struct VirtualClock {
    now: Arc<watch::Sender<Moment>>,
}

impl VirtualClock {
    /// A clock that stands at its start.
    #[must_use]
    pub fn new() -> Self {
        Self { now: Arc::new(watch::Sender::new(Moment::new(Duration::ZERO, SystemTime::UNIX_EPOCH + START))) }
    }

    /// Lets time go by on both hands, and wakes whoever slept until then.
    pub fn advance(&self, span: Duration) {
        self.set(|now| Moment::new(now.monotonic().saturating_add(span), now.wall() + span));
    }

    /// Lets time go by as on a machine that is asleep: the wall clock goes on, the monotonic hand stands still.
    pub fn suspend(&self, span: Duration) {
        self.set_wall(self.wall() + span);
    }

    /// Sets the wall clock, forward or back. The monotonic hand does not move.
    pub fn set_wall(&self, wall: SystemTime) {
        self.set(|now| Moment::new(now.monotonic(), wall));
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        self.now.borrow().wall()
    }

    /// What the wall clock will show `span` from now.
    #[must_use]
    pub fn after(&self, span: Duration) -> SystemTime {
        self.wall() + span
    }

    fn set(&self, change: impl FnOnce(Moment) -> Moment) {
        self.now.send_modify(|now| *now = change(*now));
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Moment {
        *self.now.borrow()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // A clock that is gone moves no more.
            if now.wait_for(|now| now.monotonic() >= monotonic).await.is_err() {
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
