//! [`Harness`]: a cache with everything that a test controls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinHandle;

use super::{EventLog, SourceHandle, VirtualClock, mock_source, settled};
use crate::builder::TokenCacheBuilder;
use crate::cache::TokenCache;
use crate::error::Error;

/// A cache together with its source, clock and event log.
///
/// The cache has the default settings, but no jitter.
#[non_exhaustive]
pub struct Harness<T> {
    /// The cache under test.
    pub cache: TokenCache<T>,
    /// Answers the cache's fetches.
    pub source: SourceHandle<T>,
    /// The cache's clock.
    pub clock: VirtualClock,
    /// The cache's events.
    pub log: EventLog,
}

impl<T: Send + Sync + 'static> Harness<T> {
    /// Creates a cache with the default settings.
    ///
    /// ```
    /// # use token_cache_core::test_util::Harness;
    /// let harness: Harness<&str> = Harness::new();
    /// assert!(harness.cache.peek().is_none());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// Creates a cache with the settings that `configure` makes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// let harness: Harness<&str> = Harness::with(|builder| builder.min_ttl(Duration::from_secs(30)));
    /// ```
    pub fn with(configure: impl FnOnce(TokenCacheBuilder<T>) -> TokenCacheBuilder<T>) -> Self {
        let (clock, log, (mock, source)) = (VirtualClock::new(), EventLog::new(), mock_source());
        let builder = TokenCache::builder(mock).jitter(0.0).clock(clock.clone()).on_event(log.listener());
        Self { cache: configure(builder).build(), source, clock, log }
    }

    /// Makes the cache fetch `token` by a [`get`](TokenCache::get), and returns it.
    ///
    /// # Panics
    ///
    /// If the cache does not fetch.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let token = harness.fetch("a", Duration::from_secs(3600)).await;
    /// assert_eq!(*token, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch(&mut self, token: T, lifetime: Duration) -> Arc<T> {
        let get = self.spawn_get();
        self.succeed(token, lifetime).await;
        match get.await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => panic!("{error}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Answers the next fetch with `token`, and waits until the cache has stored it.
    ///
    /// # Panics
    ///
    /// If the cache does not fetch.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.succeed("a", Duration::from_secs(3600)).await;
    /// assert_eq!(*get.await.unwrap()?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn succeed(&mut self, token: T, lifetime: Duration) {
        self.source.next_fetch().await.succeed_for(token, lifetime);
        settled().await;
    }

    /// Fails the next fetch, and waits until the cache has recorded that.
    ///
    /// # Panics
    ///
    /// If the cache does not fetch.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.fail().await;
    /// assert!(get.await.unwrap().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fail(&mut self) {
        self.source.next_fetch().await.fail("the issuer is down");
        settled().await;
    }

    /// Spawns a caller of [`get`](TokenCache::get).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.settled().await;
    /// assert!(!get.is_finished(), "it waits for the fetch");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn spawn_get(&self) -> JoinHandle<Result<Arc<T>, Error>> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.get().await })
    }

    /// Polls [`get`](TokenCache::get) once. `None` if it waits.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// assert!(harness.poll_get().is_none(), "it would wait");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn poll_get(&self) -> Option<Result<Arc<T>, Error>> {
        self.cache.get().now_or_never()
    }

    /// Waits until all other tasks wait: see [`settled`](fn@settled).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.settled().await;
    /// assert_eq!(harness.source.fetches(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn settled(&self) {
        settled().await;
    }
}

impl<T: Copy + Send + Sync + 'static> Harness<T> {
    /// Returns the token that [`get`](TokenCache::get) returns without waiting.
    ///
    /// # Panics
    ///
    /// If it waits or fails.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// assert_eq!(harness.get_now(), "a");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn get_now(&self) -> T {
        match self.poll_get() {
            Some(Ok(token)) => *token,
            Some(Err(error)) => panic!("{error}"),
            None => panic!("`get` had to wait"),
        }
    }
}

impl<T: Send + Sync + 'static> Default for Harness<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Harness<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("cache", &self.cache).field("clock", &self.clock).finish_non_exhaustive()
    }
}
