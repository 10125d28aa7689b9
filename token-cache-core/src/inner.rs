//! [`Inner`]: the state of a cache behind one lock. Each change publishes a new snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::clock::{AnyClock, Clock, TimePoint};
use crate::config::Config;
use crate::event::{Event, FetchReason, Listener};
use crate::pending::PendingFetch;
use crate::rt::{AtomicArc, Mutex, Runtime, Task, lock, watch};
use crate::snapshot::Snapshot;
use crate::source::TokenSource;
use crate::state::{Entry, FetchId, State, TokenEq};
use crate::telemetry;

/// What all handles of a cache share.
///
/// Aligned to a cache line: readers must not share one with the reference counts, which every clone of a handle changes.
#[repr(align(64))]
pub(crate) struct Inner<T> {
    snapshot: AtomicArc<Snapshot<T>>,
    /// The clock of `setup`, one pointer closer to readers.
    pub(crate) clock: AnyClock,
    /// In an `Arc`, so that a running fetch does not keep the cache alive.
    pub(crate) setup: Arc<Setup<T>>,
    locked: Mutex<Locked<T>>,
    /// The generation of the stored token, for subscriptions.
    pub(crate) generations: watch::Sender<u64>,
    pub(crate) keep_warm_task: Mutex<Option<Task>>,
}

/// What a cache is built from.
pub(crate) struct Setup<T> {
    pub(crate) source: Arc<dyn TokenSource<Token = T>>,
    pub(crate) clock: AnyClock,
    pub(crate) config: Arc<Config>,
    pub(crate) listener: Option<Listener>,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) name: Arc<str>,
    /// Returns a number from 0 to 1.
    pub(crate) jitter_sample: Box<dyn Fn() -> f64 + Send + Sync>,
}

pub(crate) struct Locked<T> {
    pub(crate) state: State<T>,
    /// The fetch that `state` started last, or a placeholder before the first.
    pub(crate) pending: Arc<PendingFetch>,
}

impl<T> Inner<T> {
    pub(crate) fn new(setup: Setup<T>, token_eq: Option<TokenEq<T>>, initial: Option<Entry<T>>) -> Self {
        let now = setup.clock.now();
        let state = State::new(Arc::clone(&setup.config), token_eq, initial, now);
        let pending = Arc::new(PendingFetch::new(FetchId::default(), FetchReason::Empty, Duration::ZERO));
        Self {
            snapshot: AtomicArc::from_pointee(state.serving(now).map(Snapshot::from)),
            clock: setup.clock.clone(),
            setup: Arc::new(setup),
            generations: watch::Sender::new(state.generation()),
            locked: Mutex::new(Locked { state, pending }),
            keep_warm_task: Mutex::new(None),
        }
    }

    /// Reads the stored token if it can be returned now and is valid for at least `min_remaining`.
    ///
    /// Takes no lock and does not allocate.
    #[inline]
    pub(crate) fn read_servable<R>(&self, min_remaining: Duration, read: impl FnOnce(&Arc<T>) -> R) -> Option<R> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        snapshot.is_servable_for(min_remaining, &self.clock).then(|| read(&snapshot.token))
    }

    /// The stored token, unless it has expired.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        snapshot.is_valid(&self.clock).then(|| Arc::clone(&snapshot.token))
    }

    /// Whether `token` is the stored one.
    pub(crate) fn is_current(&self, token: &Arc<T>) -> bool {
        self.snapshot.load().as_ref().is_some_and(|snapshot| Arc::ptr_eq(&snapshot.token, token))
    }

    pub(crate) fn read_state<R>(&self, read: impl FnOnce(&State<T>, TimePoint) -> R) -> R {
        let locked = lock(&self.locked);
        read(&locked.state, self.clock.now())
    }

    /// Changes the state, and publishes the new snapshot under the same lock, so that no older one replaces a newer one.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut Locked<T>, TimePoint) -> R) -> R {
        let mut locked = lock(&self.locked);
        let now = self.clock.now();
        let result = change(&mut locked, now);
        let stale = locked.state.take_stale_event(now);
        let snapshot = locked.state.serving(now).map(Snapshot::from);
        let previous = self.snapshot.swap(snapshot.map(Arc::new));
        drop(locked);

        // This may run the destructor of a token, which must not run under the lock.
        drop(previous);
        if let Some(generation) = stale {
            self.emit(&Event::ServedExpired { generation });
        }
        result
    }

    /// Emits an event. A listener that panics loses the event and nothing else.
    pub(crate) fn emit(&self, event: &Event) {
        telemetry::event(&self.setup.name, event);
        if let Some(listener) = &self.setup.listener {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }

    /// The runtime to fetch in: the configured one, or that of the caller.
    pub(crate) fn runtime(&self) -> Option<Runtime> {
        self.setup.runtime.clone().or_else(Runtime::current)
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        self.locked.get_mut().unwrap_or_else(PoisonError::into_inner).pending.abort();
        if let Some(task) = self.keep_warm_task.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
