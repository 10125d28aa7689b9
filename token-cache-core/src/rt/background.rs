//! [`Background`]: threads of this crate, for timers and for callers who have no runtime.
//!
//! A runtime of the program may be blocked, not driven or gone, have no timers, or stop its clock. A deadline must not depend
//! on that.

use std::future::pending;
use std::panic::catch_unwind;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

/// A thread that drives a runtime. It ends some time after the last reference.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    users: watch::Sender<usize>,
}

/// What new users of a thread need.
struct Running {
    handle: Handle,
    users: watch::Sender<usize>,
    /// The process that has the thread: a fork does not copy it.
    process: u32,
}

type Shared = Mutex<Option<Running>>;

impl Background {
    /// The thread for timers and watchdogs. `None` if the system cannot start it.
    pub(crate) fn timers() -> Option<Arc<Self>> {
        static TIMERS: Shared = Mutex::new(None);
        Self::shared(&TIMERS, "token-cache-timers")
    }

    /// The thread for fetches of callers who have no runtime.
    pub(crate) fn fetches() -> Option<Arc<Self>> {
        static FETCHES: Shared = Mutex::new(None);
        Self::shared(&FETCHES, "token-cache-fetches")
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    fn shared(shared: &'static Shared, name: &str) -> Option<Arc<Self>> {
        let mut running = lock(shared);
        if running.as_ref().is_none_or(|running| running.process != process::id()) {
            *running = Some(start(shared, name)?);
        }
        let Running { handle, users, .. } = running.as_ref()?;
        users.send_modify(|users| *users += 1);
        Some(Arc::new(Self { handle: handle.clone(), users: users.clone() }))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.users.send_modify(|users| *users -= 1);
    }
}

fn start(shared: &'static Shared, name: &str) -> Option<Running> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let (handle, users) = (runtime.handle().clone(), watch::Sender::new(0));
    let (runtime, count) = (DropAnywhere(Some(runtime)), users.subscribe());
    let thread = thread::Builder::new().name(name.to_owned());
    let run = move || {
        if let Some(runtime) = &runtime.0 {
            run(runtime, shared, count);
        }
    };
    thread.spawn(run).ok()?;
    Some(Running { handle, users, process: process::id() })
}

/// A runtime that is dropped in an async task if its thread cannot start. Dropping a `Runtime` there panics.
struct DropAnywhere(Option<Runtime>);

impl Drop for DropAnywhere {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Drives the runtime until nobody has used it for some time.
fn run(runtime: &Runtime, shared: &'static Shared, mut users: watch::Receiver<usize>) {
    loop {
        runtime.block_on(async {
            // An error means that there can be no more users.
            let _ = users.wait_for(|users| *users == 0).await;
            let _ = tokio::time::timeout(LINGER, users.wait_for(|users| *users > 0)).await;
        });
        let mut running = lock(shared);
        if *users.borrow() == 0 {
            *running = None;
            return;
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Option<Running>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Completes at `instant`, wherever it is polled.
pub(crate) async fn sleep_until(instant: Instant) {
    let background = Background::timers();
    let sleep = {
        let _context = background.as_ref().map(|background| background.handle.enter());
        // Without the thread, the timer of the current runtime is better than none. It panics if there is none.
        catch_unwind(|| tokio::time::sleep_until(instant.into()))
    };
    match sleep {
        Ok(sleep) => sleep.await,
        Err(_) => pending().await,
    }
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

/// How long a thread waits for another user before it ends. Programs that create one cache after the other start one thread.
const LINGER: Duration = Duration::from_secs(1);
