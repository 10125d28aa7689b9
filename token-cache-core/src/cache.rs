//! [`TokenCache`]: the handle that callers hold.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, Either};

use crate::builder::TokenCacheBuilder;
use crate::clock::TimePoint;
use crate::error::Error;
use crate::event::Event;
use crate::flight::{Flight, Landing};
use crate::policy::Policy;
use crate::runtime::{Runtime, Task};
use crate::shared::Shared;
use crate::source::TokenSource;
use crate::state::{Checkout, Departure, State, Waiting};
use crate::status::Status;
use crate::subscription::Subscription;
use crate::view::View;
use crate::{task, warm};

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
    pub(crate) shared: Arc<Shared<T>>,
}

impl<T: Send + Sync + 'static> TokenCache<T> {
    /// Starts to set up a cache over `source`.
    pub fn builder(source: impl TokenSource<Token = T>) -> TokenCacheBuilder<T> {
        TokenCacheBuilder::new(Arc::new(source))
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
        match self.shared.hit() {
            Some(token) => Ok(token),
            // In a box: what is made at every call should not be the size of what few calls need.
            None => Box::pin(self.fetched(Duration::ZERO)).await,
        }
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
        match self.shared.hit_for(span) {
            Some(token) => Ok(token),
            None => Box::pin(self.fetched(span)).await,
        }
    }

    /// For one whom no hit has served: what is decided now, and what comes of it.
    async fn fetched(&self, span: Duration) -> Result<Arc<T>, Error> {
        loop {
            let checkout = self.decide(|state, policy, now, can_fetch| state.checkout(policy, now, span, can_fetch));
            let (landing, own) = match checkout {
                Checkout::Ready(token) => return Ok(token),
                Checkout::ReadyAndRefresh(token, departure) => {
                    self.launch(departure);
                    return Ok(token);
                }
                Checkout::Wait(waiting) => (self.wait(waiting).await, false),
                Checkout::Fetch(departure, waiting) => {
                    self.launch(departure);
                    (self.wait(waiting).await, true)
                }
                Checkout::Refused(error) => return Err(error),
            };
            // What the flight has brought is published; what was there before, is there still.
            if let Some(token) = self.shared.hit_for(span) {
                return Ok(token);
            }
            match (landing, self.shared.look(|state, policy, now| state.fallback(policy, span, now))) {
                (_, Some(Ok(token))) => return Ok(token),
                (Some(Landing::Succeeded), Some(Err(too_short))) => return Err(too_short),
                (Some(Landing::Failed(error)), _) => return Err(error),
                // Our own runtime goes away: it would lose the next one too.
                (Some(Landing::Lost), _) if own => return Err(Error::no_runtime()),
                // Lost with another's runtime, or overdue, or the token was rejected: there is one more to be had.
                _ => {}
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
            let (landing, own) = match self.decide(State::refresh) {
                Checkout::Ready(token) | Checkout::ReadyAndRefresh(token, _) => return Ok(token),
                Checkout::Wait(waiting) => (self.wait(waiting).await, false),
                Checkout::Fetch(departure, waiting) => {
                    self.launch(departure);
                    (self.wait(waiting).await, true)
                }
                Checkout::Refused(error) => return Err(error),
            };
            match landing {
                // No decision anew: that could begin another fetch, and wait for it.
                Some(Landing::Succeeded) => match self.peek() {
                    Some(token) => return Ok(token),
                    None => return self.get().await,
                },
                Some(Landing::Failed(error)) => return Err(error),
                Some(Landing::Lost) if own => return Err(Error::no_runtime()),
                Some(Landing::Discarded | Landing::Lost) | None => {}
            }
        }
    }

    /// The stored token, unless it has expired. Never fetches, never waits.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<T>> {
        self.shared.peek()
    }

    /// Drops `token` if it is the stored one: the service it was meant for has rejected it.
    ///
    /// A newer token stays, so a late rejection does no harm. The next [`get`](Self::get) fetches, as soon as the pacing
    /// allows. A fetch that is under way may bring the same token again, as issuers do that cache: its answer is held
    /// against the rejected token with [`token_eq`](TokenCacheBuilder::token_eq), or else not trusted, and another
    /// fetch follows.
    pub fn invalidate(&self, token: &Arc<T>) {
        if let Some(generation) = self.shared.update(|state, policy, _| state.invalidate(policy, token)) {
            self.shared.emit(&Event::Invalidated { generation });
        }
    }

    /// What the cache knows at this moment. Never fetches, never waits for a fetch.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.look(State::status)
    }

    /// The tokens that are stored from now on, each as it comes: for connections that outlive a token.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription::new(&self.shared)
    }

    /// The same cache, seen through `convert`: each token is converted once, and all callers get that one.
    pub fn view<U, F>(&self, convert: F) -> View<T, U>
    where
        U: Send + Sync + 'static,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        View::new(self.clone(), Box::new(convert))
    }

    /// A handle that does not keep the cache alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakTokenCache<T> {
        WeakTokenCache { shared: Arc::downgrade(&self.shared) }
    }

    /// Asks `state` for a decision.
    fn decide(&self, decision: impl FnOnce(&mut State<T>, &Policy, TimePoint, bool) -> Checkout<T>) -> Checkout<T> {
        let can_fetch = self.shared.runtime().is_some();
        let checkout = self.shared.update(|state, policy, now| decision(state, policy, now, can_fetch));
        self.keep_warm();
        checkout
    }

    /// Waits for the end of a flight. `None`: not any longer.
    async fn wait(&self, waiting: Waiting) -> Option<Landing> {
        match self.patience(&waiting) {
            None => Some(waiting.flight.join().await),
            // In a box: most do not need it, and there may be many who wait.
            Some(until) => Box::pin(self.wait_until(&waiting.flight, until)).await,
        }
    }

    /// Until when to wait. `None`: the flight is driven whenever we are, and its own timeout will do.
    fn patience(&self, waiting: &Waiting) -> Option<Duration> {
        match waiting.patience {
            Some(patience) => Some(patience.min(waiting.overdue)),
            None => Runtime::current().is_some_and(|here| !waiting.flight.is_on(&here)).then_some(waiting.overdue),
        }
    }

    async fn wait_until(&self, flight: &Flight, until: Duration) -> Option<Landing> {
        let sleep = || self.shared.setup.clock.sleep_until(until);
        let timer = match (Runtime::current(), &self.shared.setup.runtime) {
            (None, Some(runtime)) => runtime.inside(sleep),
            _ => sleep(),
        };
        match future::select(std::pin::pin!(flight.join()), timer).await {
            Either::Left((landing, _)) => Some(landing),
            Either::Right(((), _)) => {
                // Settles the flight if it is overdue, and tells readers that nobody waits for it any more if it is not.
                self.shared.update(|_, _, _| ());
                flight.join().now_or_never()
            }
        }
    }

    /// Lets a flight depart, in a task of its own. Where there is no runtime it is lost at once.
    pub(crate) fn launch(&self, departure: Departure) {
        let flight = Arc::clone(&departure.flight);
        // The task holds no handle, so that the cache can end while the task runs.
        let fly = task::fly(Arc::downgrade(&self.shared), departure);
        if let Some(runtime) = self.shared.runtime() {
            flight.runs_in(runtime.spawn(fly));
        }
    }

    /// Starts the refresh by timer, if it was asked for and does not run.
    pub(crate) fn keep_warm(&self) {
        if self.shared.setup.policy.keep_warm.is_none() {
            return;
        }
        let mut warm = self.shared.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.as_ref().is_none_or(Task::is_finished)
            && let Some(runtime) = self.shared.runtime()
        {
            *warm = Some(runtime.spawn(warm::keep(Arc::downgrade(&self.shared))));
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
        f.debug_struct("TokenCache")
            .field("name", &self.shared.setup.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A handle of a [`TokenCache`] that does not keep it alive, from [`TokenCache::downgrade`]: for tables of caches.
pub struct WeakTokenCache<T> {
    shared: Weak<Shared<T>>,
}

impl<T> WeakTokenCache<T> {
    /// The cache, unless its last handle was dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<TokenCache<T>> {
        self.shared.upgrade().map(|shared| TokenCache { shared })
    }
}

impl<T> Clone for WeakTokenCache<T> {
    fn clone(&self) -> Self {
        Self { shared: Weak::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for WeakTokenCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakTokenCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
