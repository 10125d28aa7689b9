//! [`TokenCache`]: the handle that callers hold.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{self, Either};
use tokio::runtime::Handle;

use crate::builder::TokenCacheBuilder;
use crate::clock::{Clock, Deadline, Moment};
use crate::error::Error;
use crate::event::{Event, Listener};
use crate::flight::{Flight, Landing};
use crate::policy::Policy;
use crate::published::Published;
use crate::source::TokenSource;
use crate::state::{Checkout, Departure, State};
use crate::status::Status;
use crate::task;
use crate::view::View;

/// A token that is always at hand: fetched once for all who ask, refreshed before it expires.
///
/// Clones share one cache. Nothing runs before the first [`get`](Self::get), and nothing is left once the last clone is
/// dropped.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::Error> {
/// let cache = TokenCache::builder(source_fn(|| async {
///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
/// }))
/// .build();
/// assert_eq!(*cache.get().await?, "token");
/// # Ok(())
/// # }
/// ```
pub struct TokenCache<T> {
    shared: Arc<Shared<T>>,
}

/// What all clones of a cache share.
pub(crate) struct Shared<T> {
    /// Apart, so that a fetch can hold on to it without keeping the cache alive.
    pub(crate) setup: Arc<Setup<T>>,
    published: Published<T>,
    state: Mutex<State<T>>,
}

/// What a cache is made of and with.
pub(crate) struct Setup<T> {
    pub(crate) source: Arc<dyn TokenSource<Token = T>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) listener: Option<Listener>,
}

impl<T: Send + Sync + 'static> TokenCache<T> {
    /// Starts to set up a cache over `source`.
    pub fn builder(source: impl TokenSource<Token = T>) -> TokenCacheBuilder<T> {
        TokenCacheBuilder::new(Arc::new(source))
    }

    pub(crate) fn new(setup: Setup<T>) -> Self {
        let (published, state) = (Published::new(), Mutex::new(State::new()));
        Self { shared: Arc::new(Shared { setup: Arc::new(setup), published, state }) }
    }

    /// A token that has not expired.
    ///
    /// With a token at hand this returns without waiting, and starts a refresh in the background once less than the
    /// `expiry_buffer` is left. With less than the `min_ttl` left it waits for a new one, for a tenth of what is left at
    /// the most, and then hands out what there is. With none it waits for the fetch that all callers share.
    ///
    /// Dropping the future cancels nothing: the fetch belongs to no caller.
    ///
    /// # Errors
    ///
    /// Only when there is no unexpired token: with what the one shared fetch failed with, or, until the next attempt is
    /// due, with what the last one failed with. [`ErrorKind::NoRuntime`](crate::ErrorKind::NoRuntime) when a fetch is
    /// due and the caller is in no tokio runtime.
    pub async fn get(&self) -> Result<Arc<T>, Error> {
        self.get_valid_for(Duration::ZERO).await
    }

    /// As [`get`](Self::get), for a token that works for another `span` at least: for a long upload, or a URL that is
    /// signed now and used later.
    ///
    /// Where the stored token does not last, it waits for a new one, and for no longer than one fetch takes.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and also while an unexpired token is stored that does not last.
    /// [`ErrorKind::TooShort`](crate::ErrorKind::TooShort) when the source's own tokens do not.
    pub async fn get_valid_for(&self, span: Duration) -> Result<Arc<T>, Error> {
        loop {
            if let Some(token) = self.shared.published.hit(&*self.shared.setup.clock, span) {
                return Ok(token);
            }
            let decision =
                |state: &mut State<T>, policy: &Policy, now, can_fetch| state.checkout(policy, now, span, can_fetch);
            let (landing, own) = match self.shared.decide(decision) {
                Checkout::Ready(token) => return Ok(token),
                Checkout::ReadyAndRefresh(token, departure) => {
                    self.launch(departure);
                    return Ok(token);
                }
                Checkout::Wait(flight, until) => (self.wait(&flight, until).await, false),
                Checkout::Fetch(departure, until) => (self.wait(&self.launch(departure), until).await, true),
                Checkout::Refused(error) => return Err(error),
            };
            // What the flight has brought is published; what was there before, is there still.
            if let Some(token) = self.shared.published.hit(&*self.shared.setup.clock, span) {
                return Ok(token);
            }
            match (landing, self.shared.valid_for(span)) {
                (_, Some(Ok(token))) => return Ok(token),
                (Some(Landing::Succeeded), Some(Err(too_short))) => return Err(too_short),
                (Some(Landing::Failed(error)), _) => return Err(error),
                // Our own runtime goes away: it would lose the next one too.
                (Some(Landing::Lost), _) if own => return Err(Error::no_runtime()),
                // Lost with another's runtime, or rejected meanwhile: there is one more to be had.
                (Some(Landing::Succeeded | Landing::Lost) | None, _) => {}
            }
        }
    }

    /// Fetches a new token, whatever is left of the stored one, and waits for it.
    ///
    /// Joins the fetch under way if there is one. Within the pacing (`min_refresh_interval` after a success, the backoff
    /// after a failure) it fetches nothing and gives the result of the last attempt. The stored token stays until the
    /// new one is there; dropping the future cancels nothing.
    ///
    /// # Errors
    ///
    /// What the fetch failed with, even when an unexpired token is stored; a following [`get`](Self::get) hands that one
    /// out.
    pub async fn refresh(&self) -> Result<Arc<T>, Error> {
        loop {
            let (landing, own) = match self.shared.decide(State::refresh) {
                Checkout::Ready(token) => return Ok(token),
                Checkout::Wait(flight, _) => (flight.join().await, false),
                Checkout::Fetch(departure, _) | Checkout::ReadyAndRefresh(_, departure) => {
                    (self.launch(departure).join().await, true)
                }
                Checkout::Refused(error) => return Err(error),
            };
            match landing {
                Landing::Succeeded => return self.get().await,
                Landing::Failed(error) => return Err(error),
                Landing::Lost if own => return Err(Error::no_runtime()),
                Landing::Lost => {}
            }
        }
    }

    /// The stored token, unless it has expired. Never fetches, never waits.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<T>> {
        let now = self.shared.setup.clock.now();
        self.shared.lock().peek(now)
    }

    /// Drops `token` if it is the stored one: the service it was meant for has rejected it.
    ///
    /// A newer token stays, so a late rejection does no harm. The next [`get`](Self::get) fetches, as soon as the pacing
    /// allows.
    pub fn invalidate(&self, token: &Arc<T>) {
        let generation = self.shared.update(|state, _, _| state.invalidate(token));
        if let Some(generation) = generation {
            self.shared.emit(&Event::Invalidated { generation });
        }
    }

    /// What the cache knows at this moment. Never fetches, never waits for a fetch.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.shared.setup.clock.now();
        self.shared.lock().status(&self.shared.setup.policy, now)
    }

    /// The same cache, seen through `convert`: each token is converted once, and all callers get that one.
    pub fn view<U, F>(&self, convert: F) -> View<T, U>
    where
        U: Send + Sync + 'static,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        View::new(self.clone(), Box::new(convert))
    }

    /// Waits for the end of `flight`, or for the deadline: then there is none to tell of.
    async fn wait(&self, flight: &Flight, until: Deadline) -> Option<Landing> {
        if until == Deadline::NEVER {
            return Some(flight.join().await);
        }
        let patience = self.shared.setup.clock.sleep_until(until.on_monotonic());
        match future::select(std::pin::pin!(flight.join()), patience).await {
            Either::Left((landing, _)) => Some(landing),
            Either::Right(((), _)) => None,
        }
    }

    /// Lets a flight depart, in a task of its own.
    fn launch(&self, departure: Departure) -> Arc<Flight> {
        let flight = Arc::clone(&departure.flight);
        // The task holds no handle, so that the cache can end while the task runs.
        let fly = task::fly(Arc::downgrade(&self.shared), departure);
        if let Ok(runtime) = Handle::try_current() {
            flight.runs_in(runtime.spawn(fly).abort_handle());
        }
        flight
    }
}

impl<T> Shared<T> {
    /// Asks `state` for a decision and publishes what follows from it.
    fn decide(&self, decision: impl FnOnce(&mut State<T>, &Policy, Moment, bool) -> Checkout<T>) -> Checkout<T> {
        let can_fetch = Handle::try_current().is_ok();
        self.update(|state, policy, now| decision(state, policy, now, can_fetch))
    }

    /// Changes the state and publishes what follows, under one lock, so that no older word can come after a newer one.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut State<T>, &Policy, Moment) -> R) -> R {
        let mut state = self.lock();
        let now = self.setup.clock.now();
        let result = change(&mut state, &self.setup.policy, now);
        let previous = self.published.publish(state.serving(&self.setup.policy, now));
        drop(state);
        // The last use of a token may end here, and its destructor is the user's: not under the lock.
        drop(previous);
        result
    }

    /// Tells the listener. One that panics loses the event and nothing else.
    pub(crate) fn emit(&self, event: &Event) {
        if let Some(listener) = &self.setup.listener {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }

    fn valid_for(&self, span: Duration) -> Option<Result<Arc<T>, Error>> {
        let now = self.setup.clock.now();
        self.lock().valid_for(span, now)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if let Some(flight) = self.lock().flight() {
            flight.abort();
        }
    }
}

impl<T> Clone for TokenCache<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for TokenCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("status", &self.status()).finish_non_exhaustive()
    }
}
