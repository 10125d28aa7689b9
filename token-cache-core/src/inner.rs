//! [`Inner`]: the state of a cache behind one lock. Each change publishes a new snapshot.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::clock::{AnyClock, Clock, TimePoint};
use crate::config::Config;
use crate::error::{Cause, Error};
use crate::event::{Event, Listener};
use crate::limiter::Limiter;
use crate::pending::PendingFetch;
use crate::rt::{AtomicArc, Background, Mutex, Runtime, Task, lock, watch};
use crate::snapshot::{Snapshot, Validity};
use crate::source::TokenSource;
use crate::state::{FetchId, FetchOutcome, NewToken, State};
use crate::telemetry;
use crate::token::TemporaryToken;

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
    /// The threads of this crate that the cache has used, so that they run while it exists.
    pub(crate) threads: Mutex<Threads>,
}

#[derive(Default)]
pub(crate) struct Threads {
    pub(crate) timers: Option<Arc<Background>>,
    pub(crate) fetches: Option<Arc<Background>>,
}

/// What a cache is built from.
pub(crate) struct Setup<T> {
    pub(crate) source: Arc<dyn TokenSource<Token = T>>,
    pub(crate) clock: AnyClock,
    pub(crate) config: Arc<Config>,
    pub(crate) token_eq: Option<TokenEq<T>>,
    pub(crate) listener: Option<Listener>,
    pub(crate) runtime: Option<Runtime>,
    /// Shared with other caches of the same issuer.
    pub(crate) limiter: Option<Arc<Limiter>>,
    /// Returns a number from 0 to 1.
    pub(crate) jitter_sample: Box<dyn Fn() -> f64 + Send + Sync>,
}

/// Whether two tokens are the same.
pub(crate) type TokenEq<T> = Box<dyn Fn(&T, &T) -> bool + Send + Sync>;

pub(crate) struct Locked<T> {
    pub(crate) state: State<T>,
    /// The current fetch of `state`.
    pub(crate) pending: Option<Arc<PendingFetch<T>>>,
    /// Of the snapshot that readers see.
    published: Option<Arc<Validity>>,
}

impl<T> Inner<T> {
    pub(crate) fn new(setup: Setup<T>, initial: Option<TemporaryToken<T>>) -> Self {
        let now = setup.clock.now();
        let mut state = State::new(Arc::clone(&setup.config), setup.token_eq.is_some(), now);
        if let Some(initial) = initial.and_then(|token| setup.new_token(token, now).ok()) {
            state.seed(initial, now, (setup.jitter_sample)());
        }
        drop(state.take_displaced());
        let snapshot = state.serving(now).map(Snapshot::from);
        let published = snapshot.as_ref().map(|snapshot| Arc::clone(&snapshot.validity));
        Self {
            snapshot: AtomicArc::from_pointee(snapshot),
            clock: setup.clock.clone(),
            setup: Arc::new(setup),
            generations: watch::Sender::new(state.generation()),
            locked: Mutex::new(Locked { state, pending: None, published }),
            keep_warm_task: Mutex::new(None),
            threads: Mutex::new(Threads::default()),
        }
    }

    /// The stored token, if it can be returned now.
    ///
    /// Takes no lock and does not allocate.
    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<T>> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        snapshot.validity.is_servable(&self.clock).then(|| Arc::clone(&snapshot.token))
    }

    /// As [`hit`](Self::hit), if the token is valid for at least `min_remaining`.
    pub(crate) fn hit_for(&self, min_remaining: Duration) -> Option<Arc<T>> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        snapshot.validity.is_servable_for(min_remaining, &self.clock).then(|| Arc::clone(&snapshot.token))
    }

    /// As [`hit_for`](Self::hit_for), with the tick of the clock in which the token was checked. Zero: unknown.
    #[cfg(feature = "keyed")]
    #[inline]
    pub(crate) fn hit_with_tick(&self, min_remaining: Duration) -> Option<(Arc<T>, u64)> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        let is_servable = snapshot.validity.is_servable_for(min_remaining, &self.clock);
        is_servable.then(|| (Arc::clone(&snapshot.token), snapshot.validity.checked_tick()))
    }

    /// Reads the stored token, unless it has expired.
    pub(crate) fn peek<R>(&self, read: impl FnOnce(&Snapshot<T>) -> R) -> Option<R> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        snapshot.validity.is_valid(&self.clock).then(|| read(snapshot))
    }

    /// The snapshot of `token`, if it is the stored one.
    pub(crate) fn snapshot_of<R>(&self, token: &Arc<T>, read: impl FnOnce(&Snapshot<T>) -> R) -> Option<R> {
        let snapshot = self.snapshot.load();
        snapshot.as_ref().filter(|snapshot| Arc::ptr_eq(&snapshot.token, token)).map(|snapshot| read(snapshot))
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
        let snapshot = locked.state.serving(now).map(|serving| Arc::new(Snapshot::from(serving)));
        let published = snapshot.as_ref().map(|snapshot| Arc::clone(&snapshot.validity));
        if let Some(previous) = mem::replace(&mut locked.published, published) {
            previous.retire();
        }
        let previous = self.snapshot.swap(snapshot);
        let ended = if locked.state.in_flight().is_none() { locked.pending.take() } else { None };
        let displaced = locked.state.take_displaced();
        drop(locked);

        // Destructors of the user may use the cache, so they must not run under the lock.
        drop_quietly((previous, ended, displaced));
        if let Some(generation) = stale {
            self.emit(&Event::ServedExpired { generation });
        }
        result
    }

    /// Stores a token that comes from elsewhere, and completes the current fetch with it.
    pub(crate) fn store(&self, token: TemporaryToken<T>) -> Result<Arc<T>, Error> {
        let new = self.setup.new_token(token, self.clock.now())?;
        let token = Arc::clone(&new.token);
        let jitter_sample = (self.setup.jitter_sample)();
        let (outcome, pending, status) = self.update(|locked, now| {
            let outcome = locked.state.store(new, now, jitter_sample);
            let pending = if outcome.is_ok() { locked.pending.take() } else { None };
            (outcome, pending, locked.state.status(now))
        });
        let outcome = outcome?;
        if let Some(pending) = pending {
            pending.abort();
            pending.complete(outcome);
        }
        self.generations.send_replace(status.generation);
        self.emit(&Event::Stored { generation: status.generation, remaining: status.remaining });
        Ok(token)
    }

    /// Removes `token` if it is the stored one.
    pub(crate) fn invalidate(&self, token: &Arc<T>) {
        while let Some(stored) = self.stored_same(token) {
            let (generation, is_stored) = self.update(|locked, now| {
                let generation = locked.state.invalidate(&stored, now);
                (generation, locked.state.stored().is_some_and(|token| Arc::ptr_eq(token, &stored)))
            });
            drop_quietly(stored);
            if let Some(generation) = generation {
                self.emit(&Event::Invalidated { generation });
            }
            // Otherwise the same token was fetched again in the meantime.
            if generation.is_some() || is_stored {
                return;
            }
        }
    }

    /// The stored token, if it is the same as `token`.
    pub(crate) fn stored_same(&self, token: &Arc<T>) -> Option<Arc<T>> {
        let stored = self.read_state(|state, _| state.stored().cloned())?;
        self.is_same(&stored, token).then_some(stored)
    }

    pub(crate) fn is_same(&self, one: &Arc<T>, other: &Arc<T>) -> bool {
        Arc::ptr_eq(one, other) || self.setup.are_same(one, other).is_ok_and(|same| same == Some(true))
    }

    /// When the fetch has timed out, if it is the current one.
    pub(crate) fn hard_deadline(&self, id: FetchId) -> Option<Duration> {
        let in_flight = self.read_state(|state, _| state.in_flight())?;
        (in_flight.id == id).then(|| in_flight.hard_deadline(&self.setup.config))
    }

    /// Fails the fetch if it has timed out. Its task may still run, or may never have.
    pub(crate) fn fail_overdue(&self, id: FetchId) {
        let jitter_sample = (self.setup.jitter_sample)();
        let overdue = self.update(|locked, now| {
            let error = locked.state.fail_overdue(id, now, jitter_sample)?;
            Some((error, locked.state.failures(), locked.pending.take()?))
        });
        if let Some((error, failures, pending)) = overdue {
            pending.abort();
            pending.complete(FetchOutcome::Failed(error.clone()));
            self.emit(&Event::FetchFailed { error, failures, took: self.setup.config.fetch_timeout });
        }
    }

    /// Drops the token and aborts what runs, as if the last handle was dropped.
    #[cfg(feature = "keyed")]
    pub(crate) fn close(&self) {
        let pending = self.update(|locked, _| {
            locked.state.clear();
            locked.pending.take()
        });
        if let Some(pending) = pending {
            pending.abort();
        }
        if let Some(task) = lock(&self.keep_warm_task).take() {
            task.abort();
        }
        let threads = mem::take(&mut *lock(&self.threads));
        drop(threads);
    }

    /// Emits an event. A listener that panics loses the event and nothing else.
    pub(crate) fn emit(&self, event: &Event) {
        telemetry::event(&self.setup.config.name, event);
        if let Some(listener) = &self.setup.listener {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }

    /// The runtime to fetch in: the configured one, or that of the caller. A caller who blocks its thread has none.
    pub(crate) fn runtime(&self, blocking: bool) -> Option<Runtime> {
        if let Some(runtime) = &self.setup.runtime {
            return Some(runtime.clone());
        }
        if !blocking {
            return Runtime::current();
        }
        let fetches = Background::fetches()?;
        let runtime = Runtime::new(fetches.handle().clone());
        lock(&self.threads).fetches = Some(fetches);
        Some(runtime)
    }
}

/// Drops what may be the last handle of a token. A destructor that panics must not cost a caller its result.
pub(crate) fn drop_quietly<T>(value: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

impl<T> Setup<T> {
    /// Without a lock, because this calls a function of the user.
    pub(crate) fn new_token(&self, token: TemporaryToken<T>, started: TimePoint) -> Result<NewToken<T>, Error> {
        catch_unwind(AssertUnwindSafe(|| NewToken::new(&self.config, token, started)))
            .map_err(|_| self.error(Cause::CallbackPanicked))
    }

    /// Whether two tokens are the same. `None` if they cannot be compared.
    pub(crate) fn are_same(&self, one: &T, two: &T) -> Result<Option<bool>, Error> {
        let Some(token_eq) = &self.token_eq else { return Ok(None) };
        catch_unwind(AssertUnwindSafe(|| token_eq(one, two))).map(Some).map_err(|_| self.error(Cause::CallbackPanicked))
    }

    pub(crate) fn error(&self, cause: Cause) -> Error {
        Error::new(cause, &self.config.name)
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        if let Some(pending) = &self.locked.get_mut().unwrap_or_else(PoisonError::into_inner).pending {
            pending.abort();
        }
        if let Some(task) = self.keep_warm_task.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
