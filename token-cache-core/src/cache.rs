//! [`TokenCache`]: the handle that callers hold.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::builder::TokenCacheBuilder;
use crate::error::Error;
use crate::event::Event;
use crate::inner::Inner;
use crate::source::TokenSource;
use crate::state::State;
use crate::status::Status;
use crate::subscription::Subscription;
use crate::view::View;

/// A cache of one token, which it refreshes before it expires.
///
/// Clones share one cache. Nothing runs before the first [`get`](Self::get), and nothing is left after the last clone is
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
    pub(crate) inner: Arc<Inner<T>>,
}

impl<T: Send + Sync + 'static> TokenCache<T> {
    /// Returns a builder for a cache of the tokens of `source`.
    pub fn builder(source: impl TokenSource<Token = T>) -> TokenCacheBuilder<T> {
        TokenCacheBuilder::new(Arc::new(source))
    }

    /// Returns a token that has not expired.
    ///
    /// While a usable token is stored, this does not wait. It starts a refresh in the background once less than the
    /// `expiry_buffer` remains. If less than the `min_ttl` remains, it waits for a new token for at most 10 % of what remains,
    /// and then returns the stored one. Without a token, it waits for the fetch that all callers share.
    ///
    /// This is cancel safe: the fetch belongs to no caller, so dropping the future cancels nothing.
    ///
    /// # Errors
    ///
    /// Only if no unexpired token is stored: the error of the shared fetch or, until the next fetch can start, the error of the
    /// last one. [`ErrorKind::NoRuntime`](crate::ErrorKind::NoRuntime) if a fetch is due outside a tokio runtime.
    pub async fn get(&self) -> Result<Arc<T>, Error> {
        match self.hit() {
            Some(token) => Ok(token),
            // Boxed, so that the future of a hit is small.
            None => Box::pin(self.inner.get(Duration::ZERO)).await,
        }
    }

    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<T>> {
        self.inner.read_servable(Duration::ZERO, Arc::clone)
    }

    /// Returns a token that is valid for at least `min_remaining`, for a long upload or a presigned URL. Otherwise as
    /// [`get`](Self::get).
    ///
    /// If the stored token is not, it waits for one fetch.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), also while an unexpired token is stored that is not valid long enough.
    /// [`ErrorKind::TooShort`](crate::ErrorKind::TooShort) if the tokens of the source are not.
    pub async fn get_valid_for(&self, min_remaining: Duration) -> Result<Arc<T>, Error> {
        match self.inner.read_servable(min_remaining, Arc::clone) {
            Some(token) => Ok(token),
            None => Box::pin(self.inner.get(min_remaining)).await,
        }
    }

    /// Fetches a new token and waits for it, whatever the freshness of the stored one.
    ///
    /// Joins a running fetch. Within the pacing (`min_refresh_interval` after a success, the backoff after a failure), it
    /// returns the result of the last fetch instead. The stored token stays until the new one arrives. This is cancel safe.
    ///
    /// # Errors
    ///
    /// The error of the fetch, also while an unexpired token is stored, which a following [`get`](Self::get) returns.
    pub async fn refresh(&self) -> Result<Arc<T>, Error> {
        Box::pin(self.inner.refresh()).await
    }

    /// Returns the stored token, unless it has expired. Never fetches, never waits.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<T>> {
        self.inner.peek()
    }

    /// Removes `token` if it is the stored one, because a service has rejected it.
    ///
    /// A newer token stays, so a late rejection does no harm. The next [`get`](Self::get) fetches as soon as the pacing allows.
    /// A fetch that already runs may return the same token again, because some issuers cache. Its answer is compared by
    /// [`token_eq`](TokenCacheBuilder::token_eq) or, without that, discarded, and another fetch follows.
    pub fn invalidate(&self, token: &Arc<T>) {
        if let Some(generation) = self.inner.update(|locked, _| locked.state.invalidate(token)) {
            self.inner.emit(&Event::Invalidated { generation });
        }
    }

    /// Returns the state of the cache. Never fetches, never waits for a fetch.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.read_state(State::status)
    }

    /// Subscribes to the tokens stored from now on, for connections that outlive a token.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription::new(&self.inner)
    }

    /// Returns a view of this cache that converts each token once.
    pub fn view<U, F>(&self, convert: F) -> View<T, U>
    where
        U: Send + Sync + 'static,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        View::new(self.clone(), Box::new(convert))
    }

    /// Returns a handle that does not keep the cache alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakTokenCache<T> {
        WeakTokenCache { inner: Arc::downgrade(&self.inner) }
    }
}

impl<T> Clone for TokenCache<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for TokenCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("name", &self.inner.setup.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A handle of a [`TokenCache`] that does not keep it alive, from [`TokenCache::downgrade`].
pub struct WeakTokenCache<T> {
    inner: Weak<Inner<T>>,
}

impl<T> WeakTokenCache<T> {
    /// Returns the cache, unless its last handle was dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<TokenCache<T>> {
        self.inner.upgrade().map(|inner| TokenCache { inner })
    }
}

impl<T> Clone for WeakTokenCache<T> {
    fn clone(&self) -> Self {
        Self { inner: Weak::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for WeakTokenCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakTokenCache").finish_non_exhaustive()
    }
}
