//! What all handles of a cache share, and the one way to change it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, TimePoint};
use crate::entropy;
use crate::event::{Event, Listener};
use crate::flight::Landing;
use crate::observe;
use crate::policy::Policy;
use crate::published::Published;
use crate::runtime::{Runtime, Task};
use crate::source::TokenSource;
use crate::state::{State, Stored};
use crate::sync::{Mutex, MutexGuard};

/// What a cache is made of and with.
pub(crate) struct Setup<T> {
    pub(crate) source: Arc<dyn TokenSource<Token = T>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) same: Option<Same<T>>,
    pub(crate) listener: Option<Listener>,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) name: Arc<str>,
}

/// Tells whether two tokens are the same.
pub(crate) type Same<T> = Box<dyn Fn(&T, &T) -> bool + Send + Sync>;

pub(crate) struct Shared<T> {
    /// Apart, so that a fetch can hold on to it without keeping the cache alive.
    pub(crate) setup: Arc<Setup<T>>,
    pub(crate) published: Published<T>,
    state: Mutex<State<T>>,
    /// The number of the token stored last, for those who wait for the next.
    pub(crate) generations: watch::Sender<u64>,
    /// The task that keeps the cache warm.
    pub(crate) warm: Mutex<Option<Task>>,
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// The token, if it may be handed out without a decision.
    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<T>> {
        self.published.hit()
    }

    /// The same for one who needs it to last for `want`.
    pub(crate) fn hit_for(&self, want: Duration) -> Option<Arc<T>> {
        if want.is_zero() {
            return self.hit();
        }
        self.published.judged(want).map(|hit| hit.token)
    }
}

impl<T> Shared<T> {
    pub(crate) fn new(setup: Setup<T>, initial: Option<Stored<T>>) -> Self {
        let now = setup.clock.now();
        let state = State::new(initial, now);
        let generations = watch::Sender::new(state.generation());
        let published = Published::new(Arc::clone(&setup.clock), state.serving(&setup.policy, now));
        Self { setup: Arc::new(setup), published, state: Mutex::new(state), generations, warm: Mutex::new(None) }
    }

    /// Changes the state and publishes what follows, under one lock, so that no older word can come after a newer one.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut State<T>, &Policy, TimePoint) -> R) -> R {
        let policy = &self.setup.policy;
        let mut state = self.lock();
        let now = self.setup.clock.now();
        let overdue = match state.overdue(policy, now) {
            // In its own runtime it is driven as we are, and will time out by itself.
            Some(flight) if Runtime::current().is_some_and(|here| !flight.is_on(&here)) => {
                state.fail_overdue(policy, now, entropy::draw())
            }
            _ => None,
        };
        let result = change(&mut state, policy, now);
        let failures = state.failures();
        let expired = state.begins_to_serve_expired(policy, now);
        let previous = self.published.publish(state.serving(policy, now));
        drop(state);

        // The last use of a token may end here, and its destructor is the user's: not under the lock.
        drop(previous);
        if let Some((flight, error)) = overdue {
            flight.abort();
            flight.land(Landing::Failed(error.clone()));
            self.emit(&Event::FetchFailed { error, failures, took: policy.fetch_timeout });
        }
        if let Some(generation) = expired {
            self.emit(&Event::ServedExpired { generation });
        }
        result
    }

    /// The stored token, unless it has expired.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.published.peek()
    }

    /// Looks at the state. For what changes nothing.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State<T>, &Policy, TimePoint) -> R) -> R {
        let state = self.lock();
        look(&state, &self.setup.policy, self.setup.clock.now())
    }

    /// Tells who asked to be told. A listener that panics loses the event and nothing else.
    pub(crate) fn emit(&self, event: &Event) {
        observe::event(&self.setup.name, event);
        if let Some(listener) = &self.setup.listener {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }

    /// Where to fetch: the runtime that was set, or else the one that the caller is in.
    pub(crate) fn runtime(&self) -> Option<Runtime> {
        self.setup.runtime.clone().or_else(Runtime::current)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if let Some(flight) = self.lock().flight() {
            flight.abort();
        }
        if let Some(warm) = self.warm.get_mut().unwrap_or_else(PoisonError::into_inner) {
            warm.abort();
        }
    }
}
