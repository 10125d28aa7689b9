//! [`TokenCache`]: the handle that callers hold.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use crate::builder::TokenCacheBuilder;
use crate::clock::Clock;
use crate::driver::Caller;
use crate::error::Error;
use crate::inner::Inner;
use crate::source::TokenSource;
use crate::state::State;
use crate::status::Status;
use crate::subscription::Subscription;
use crate::token::TemporaryToken;
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
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).min_ttl(Duration::from_secs(30)).build();
    /// assert_eq!(cache.status().generation, 0, "nothing is fetched before the first read");
    /// ```
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
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let token = cache.get().await?;
    /// assert_eq!(*token, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self) -> Result<Arc<T>, Error> {
        match self.hit() {
            Some(token) => Ok(token),
            // Boxed, so that the future of a hit is small.
            None => Box::pin(self.inner.get(Duration::ZERO, Caller::Async)).await,
        }
    }

    /// Whether there is another handle.
    #[cfg(feature = "keyed")]
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.inner) > 1
    }

    /// As dropping the last handle.
    #[cfg(feature = "keyed")]
    pub(crate) fn close(&self) {
        self.inner.close();
    }

    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<T>> {
        self.inner.hit()
    }

    /// Returns a token that is valid for at least `min_remaining`, for a long upload or a presigned URL. Otherwise as
    /// [`get`](Self::get).
    ///
    /// If the stored token is not, it waits for one fetch. A source whose tokens are not valid for that long is asked once, and
    /// then not before the stored token is due for a refresh. Its answer replaces the stored token only if it is valid longer.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), also while an unexpired token is stored that is not valid long enough.
    /// [`ErrorKind::TooShort`](crate::ErrorKind::TooShort) if the tokens of the source are not.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// harness.clock.advance(Duration::from_secs(3000)); // 10 minutes are left
    /// assert_eq!(*cache.get_valid_for(Duration::from_secs(300)).await?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_valid_for(&self, min_remaining: Duration) -> Result<Arc<T>, Error> {
        match self.inner.hit_for(min_remaining) {
            Some(token) => Ok(token),
            None => Box::pin(self.inner.get(min_remaining, Caller::Async)).await,
        }
    }

    /// As [`get`](Self::get), for synchronous code. Blocks the thread while it waits: for at most the
    /// [`fetch_timeout`](TokenCacheBuilder::fetch_timeout) plus one second, after the end of the pacing.
    ///
    /// It needs no runtime. Its fetches, also those in the background, run in the [configured
    /// runtime](TokenCacheBuilder::runtime) or else in a thread of this crate. That thread has tokio's timers and sockets, and
    /// ends one second after the last cache that uses it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) instead of waiting in an async task of
    /// tokio: use [`get`](Self::get) there, or call this in `spawn_blocking`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # fn main() -> Result<(), token_cache_core::Error> {
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).build();
    /// assert_eq!(*cache.get_blocking()?, "token");
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_blocking(&self) -> Result<Arc<T>, Error> {
        self.hit().map_or_else(|| self.inner.get_blocking(), Ok)
    }

    /// Returns a token as [`get`](Self::get) does, with its expiry and its generation. A hit costs two reads of the clock more.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let current = cache.get_with_times().await?;
    /// assert_eq!((*current.token, current.generation), ("a", 1));
    /// assert_eq!(current.expires_at, Some(harness.clock.after(Duration::from_secs(3600))));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_with_times(&self) -> Result<TokenWithTimes<T>, Error> {
        loop {
            let token = self.get().await?;
            let times = self.inner.snapshot_of(&token, |snapshot| (snapshot.generation, snapshot.validity.expires));
            // Otherwise it was replaced in the meantime.
            if let Some((generation, expires)) = times {
                let now = self.inner.clock.now();
                let remaining = expires.remaining(now);
                let expires_at = remaining.and_then(|remaining| now.wall().checked_add(remaining));
                return Ok(TokenWithTimes { token, generation, expires_at });
            }
        }
    }

    /// Fetches a new token and waits for it, whatever the freshness of the stored one.
    ///
    /// Joins a running fetch. Within the pacing (`min_refresh_interval` after a success, the backoff after a failure), it
    /// returns the result of the last fetch instead. After a [permanent](crate::permanent) error, or one that states when to
    /// [retry](crate::retry_after), it waits for the `min_refresh_interval` only: its caller may have fixed the cause. The
    /// stored token stays until the new one arrives. This is cancel safe.
    ///
    /// # Errors
    ///
    /// The error of the fetch, also while an unexpired token is stored, which a following [`get`](Self::get) returns.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// harness.clock.advance(Duration::from_secs(60)); // past the pacing
    /// let refresh = tokio::spawn({
    ///     let cache = cache.clone();
    ///     async move { cache.refresh().await }
    /// });
    /// harness.succeed("b", Duration::from_secs(3600)).await;
    /// assert_eq!(*refresh.await.unwrap()?, "b");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(&self) -> Result<Arc<T>, Error> {
        Box::pin(self.inner.refresh()).await
    }

    /// Stores a token that comes from elsewhere, as if a fetch had just returned it: a driver sends it to its workers, or a
    /// login has brought it.
    ///
    /// Callers who wait for a fetch get it, and that fetch is aborted. The next fetch starts after the `min_refresh_interval`
    /// at the earliest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExpired`](crate::ErrorKind::AlreadyExpired). Nothing changes then.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::TemporaryToken;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// cache.store(TemporaryToken::expires_in("b", Duration::from_secs(3600)))?;
    /// assert_eq!(*cache.get().await?, "b");
    /// # Ok(())
    /// # }
    /// ```
    pub fn store(&self, token: TemporaryToken<T>) -> Result<Arc<T>, Error> {
        self.inner.store(token)
    }

    /// Returns the stored token, unless it has expired. Never fetches, never waits.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// assert_eq!(*cache.peek().unwrap(), "a");
    /// harness.clock.advance(Duration::from_secs(3600));
    /// assert!(cache.peek().is_none(), "it has expired");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn peek(&self) -> Option<Arc<T>> {
        self.inner.peek(|snapshot| Arc::clone(&snapshot.token))
    }

    /// Rejects `token`, because a service has rejected it, and waits for another one.
    ///
    /// Meanwhile all other callers get the stored token: the service that rejects it may be the only one that does. Use
    /// [`invalidate`](Self::invalidate) only if no service can accept it any more.
    ///
    /// If there is a newer token already, this returns that. All who reject the same token wait for one fetch. Rejections of
    /// one token after the other are accepted at growing intervals, from twice the
    /// [`min_refresh_interval`](TokenCacheBuilder::min_refresh_interval) to the
    /// [`max_backoff`](TokenCacheBuilder::max_backoff). This is cancel safe.
    ///
    /// # Errors
    ///
    /// The error of the fetch. [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the source returned the same token again,
    /// by [`token_eq`](TokenCacheBuilder::token_eq), or if the rejection is not accepted yet. The stored token stays in either
    /// case, so return the answer of the service that has rejected it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let token = cache.get().await?;
    /// // A service answers 401 to it.
    /// let another = tokio::spawn({
    ///     let (cache, token) = (cache.clone(), token.clone());
    ///     async move { cache.replace(&token).await }
    /// });
    /// tokio::task::yield_now().await;
    /// assert_eq!(*cache.get().await?, "a", "other callers do not wait");
    /// harness.clock.advance(Duration::from_secs(1));
    /// harness.succeed("b", Duration::from_secs(3600)).await;
    /// assert_eq!(*another.await.unwrap()?, "b");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn replace(&self, token: &Arc<T>) -> Result<Arc<T>, Error> {
        Box::pin(self.inner.replace(token)).await
    }

    /// Removes `token` if it is the stored one, because no service accepts it any more: it was revoked, for example.
    ///
    /// A newer token stays, so a late rejection does no harm. The next [`get`](Self::get) fetches as soon as the pacing allows.
    /// A fetch that already runs may return the same token again, because some issuers cache. Its answer is compared by
    /// [`token_eq`](TokenCacheBuilder::token_eq) or, without that, discarded, and another fetch follows. If that returns the
    /// same token too, it is stored: the issuer insists on it.
    ///
    /// Rejections of one token after the other are accepted at growing intervals, as for [`replace`](Self::replace). Until
    /// then the token stays.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let token = cache.get().await?;
    /// cache.invalidate(&token);
    /// assert!(cache.peek().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidate(&self, token: &Arc<T>) {
        self.inner.invalidate(token);
    }

    /// Returns the state of the cache. Never fetches, never waits for a fetch.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Freshness;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let status = cache.status();
    /// assert_eq!((status.freshness, status.remaining), (Freshness::Fresh, Some(Duration::from_secs(3600))));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.read_state(State::status)
    }

    /// Subscribes to the tokens stored from now on, for connections that outlive a token.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::TemporaryToken;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let mut tokens = cache.subscribe();
    /// cache.store(TemporaryToken::expires_in("b", Duration::from_secs(3600)))?;
    /// assert_eq!(tokens.changed().await.as_deref(), Some(&"b"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription::new(&self.inner)
    }

    /// Returns a view of this cache that converts each token once.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let header = cache.view(|token| format!("Bearer {token}"));
    /// assert_eq!(*header.get().await?, "Bearer a");
    /// # Ok(())
    /// # }
    /// ```
    pub fn view<U, F>(&self, convert: F) -> View<T, U>
    where
        U: Send + Sync + 'static,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        View::new(self.clone(), Arc::new(convert))
    }

    /// Returns a handle that does not keep the cache alive.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let weak = cache.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// # Ok(())
    /// # }
    /// ```
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
            .field("name", &self.inner.setup.config.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl<T> UnwindSafe for TokenCache<T> {}
impl<T> RefUnwindSafe for TokenCache<T> {}

/// A token and its times at one moment, from [`TokenCache::get_with_times`].
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenWithTimes<T> {
    /// The token.
    pub token: Arc<T>,
    /// The number of the token.
    pub generation: u64,
    /// When the token expires, in wall time: now plus the remaining lifetime by the stricter of two clocks. `None` if it never
    /// does.
    pub expires_at: Option<SystemTime>,
}

impl<T> fmt::Debug for TokenWithTimes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TokenWithTimes");
        debug.field("generation", &self.generation).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A handle of a [`TokenCache`] that does not keep it alive, from [`TokenCache::downgrade`].
pub struct WeakTokenCache<T> {
    inner: Weak<Inner<T>>,
}

impl<T> WeakTokenCache<T> {
    /// Returns the cache, unless its last handle was dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let weak = harness.cache.downgrade();
    /// # drop(cache);
    /// drop(harness);
    /// assert!(weak.upgrade().is_none());
    /// # Ok(())
    /// # }
    /// ```
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
