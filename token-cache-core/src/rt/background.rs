//! [`Background`]: threads of this crate, for timers and for callers who have no runtime.
//!
//! A runtime of the program may be blocked, not driven or gone, have no timers, or stop its clock. A deadline must not depend
//! on that.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::process_id;

/// A thread that drives a runtime. It ends with the last reference.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    /// The process that has the thread: a fork does not copy it.
    process: u32,
    _end: oneshot::Sender<()>,
}

impl Background {
    /// The thread for timers, which never runs code of the user. `None` if the system cannot start it.
    pub(crate) fn timers() -> Option<Arc<Self>> {
        static TIMERS: Mutex<Weak<Background>> = Mutex::new(Weak::new());
        Self::shared(&TIMERS, "token-cache-timers")
    }

    /// The thread for fetches of callers who have no runtime.
    pub(crate) fn fetches() -> Option<Arc<Self>> {
        static FETCHES: Mutex<Weak<Background>> = Mutex::new(Weak::new());
        Self::shared(&FETCHES, "token-cache-fetches")
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `task` after the delay, unless `cancelled` completes first.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    fn shared(shared: &Mutex<Weak<Self>>, name: &str) -> Option<Arc<Self>> {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(background) = shared.upgrade() {
            if background.process == process_id() {
                return Some(background);
            }
            // Not dropped: its runtime waits for threads of the other process.
            std::mem::forget(background);
        }
        let background = Arc::new(Self::start(name)?);
        *shared = Arc::downgrade(&background);
        Some(background)
    }

    fn start(name: &str) -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let (end, ended) = oneshot::channel();
        let handle = runtime.handle().clone();
        let run = move || drop(runtime.block_on(ended));
        thread::Builder::new().name(name.to_owned()).spawn(run).ok()?;
        Some(Self { handle, process: process_id(), _end: end })
    }
}

/// Completes at `instant`, wherever it is polled.
pub(crate) async fn sleep_until(instant: Instant) {
    let Some(background) = Background::timers() else { return pending().await };
    let sleep = {
        let _context = background.handle.enter();
        tokio::time::sleep_until(instant.into())
    };
    sleep.await;
    // Until here, so that the timer is driven.
    drop(background);
}

/// Real time, also where the clock of the cache is virtual.
pub(crate) async fn grace_period() {
    tokio::time::sleep(GRACE_PERIOD).await;
}

/// How much later than the timer of a fetch its watchdog acts. Less than a second, which is what callers may wait longer than
/// the `fetch_timeout`.
const GRACE_PERIOD: Duration = Duration::from_millis(500);
