//! [`TokenCachesBuilder`]: the settings of all keys.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use papaya::HashMap;

use super::{ByKey, Shared, TokenCaches};
use crate::builder::TokenCacheBuilder;
use crate::cache::TokenCache;
use crate::clock::{AnyClock, Clock, SystemClock};
use crate::limiter::Limiter;
use crate::rt::Mutex;
use crate::source::TokenSource;

/// Configures and builds [`TokenCaches`].
///
/// Every value is accepted: none makes [`build`](Self::build) fail or the caches panic.
#[must_use]
pub struct TokenCachesBuilder<K, T> {
    cache: ByKey<K, TokenCacheBuilder<T>>,
    clock: AnyClock,
    idle: Duration,
    max_keys: usize,
    per_second: u32,
    concurrent: usize,
}

impl<K, T> TokenCaches<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// Starts to configure caches whose tokens come from the source that `source` returns for a key.
    ///
    /// It is called once for each new key, by the first caller of that key, and must not ask these caches for that key.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).build();
    /// ```
    pub fn builder<S>(source: impl Fn(&K) -> S + Send + Sync + 'static) -> TokenCachesBuilder<K, T>
    where
        S: TokenSource<Token = T>,
    {
        TokenCachesBuilder {
            cache: Box::new(move |key| TokenCache::builder(source(key))),
            clock: AnyClock::System(SystemClock::new()),
            idle: Duration::from_secs(3600),
            max_keys: usize::MAX,
            per_second: u32::MAX,
            concurrent: usize::MAX,
        }
    }
}

impl<K, T> TokenCachesBuilder<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// Changes the settings of the cache of each key. Several calls add up.
    ///
    /// All caches have the same [name](TokenCacheBuilder::name) unless this gives them others, so that their metrics add up. A
    /// name for each key would add a series for each key.
    ///
    /// Default: the defaults of [`TokenCacheBuilder`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).cache(|cache, tenant| cache.name(tenant.as_str())).build();
    /// ```
    pub fn cache(
        mut self,
        settings: impl Fn(TokenCacheBuilder<T>, &K) -> TokenCacheBuilder<T> + Send + Sync + 'static,
    ) -> Self {
        let before = self.cache;
        self.cache = Box::new(move |key| settings(before(key), key));
        self
    }

    /// Sets how long a key is kept after its last read, if its cache is not held. It is removed within one and a half times
    /// that long.
    ///
    /// Default: 1 hour, the lifetime of most tokens.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).idle(Duration::from_secs(600)).build();
    /// ```
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets the maximum number of keys. A new key then removes those that were read least recently, up to a sixteenth of them
    /// at once. Those whose caches are held stay, even if there are more of them.
    ///
    /// Default: no limit. Use it where callers choose the keys.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).max_keys(10_000).build();
    /// ```
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Sets how many fetches of all keys start per second, at least 1. They start evenly spaced.
    ///
    /// A fetch that has to wait for its turn does not time out, and callers get the stored token meanwhile. A fetch that a
    /// caller without a usable token waits for comes before all others. That caller waits for at most the
    /// [`fetch_timeout`](TokenCacheBuilder::fetch_timeout) before the fetch starts, and for at most that time after it.
    ///
    /// Default: no limit. Use the limit of the issuer, divided by the number of processes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).fetches_per_second(100).build();
    /// ```
    pub fn fetches_per_second(mut self, fetches: u32) -> Self {
        self.per_second = fetches.max(1);
        self
    }

    /// Sets how many fetches of all keys run at the same time, at least 1. Otherwise as
    /// [`fetches_per_second`](Self::fetches_per_second).
    ///
    /// Default: no limit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).concurrent_fetches(10).build();
    /// ```
    pub fn concurrent_fetches(mut self, fetches: usize) -> Self {
        self.concurrent = fetches.max(1);
        self
    }

    /// Sets the clock of all caches.
    ///
    /// Default: [`SystemClock`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).clock(SystemClock::new()).build();
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = AnyClock::Custom(Arc::new(clock));
        self
    }

    /// Builds the caches. Nothing is fetched or spawned.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{SystemClock, TemporaryToken, TokenCaches, source_fn};
    /// # let source_of = |tenant: &String| {
    /// #     let tenant = tenant.clone();
    /// #     source_fn(move || {
    /// #         let token = TemporaryToken::expires_in(tenant.clone(), Duration::from_secs(3600));
    /// #         async { Ok::<_, std::io::Error>(token) }
    /// #     })
    /// # };
    /// let tenants = TokenCaches::builder(source_of).build();
    /// assert!(tenants.is_empty());
    /// ```
    #[must_use]
    pub fn build(self) -> TokenCaches<K, T> {
        let Self { cache, clock, idle, max_keys, per_second, concurrent } = self;
        let interval = if per_second == u32::MAX { Duration::ZERO } else { Duration::from_secs(1) / per_second };
        let limiter = (concurrent != usize::MAX || !interval.is_zero())
            .then(|| Arc::new(Limiter::new(clock.clone(), concurrent, interval)));
        let new_cache = {
            let clock = clock.clone();
            move |key: &K| cache(key).shared(clock.clone(), limiter.clone()).build()
        };
        let (entries, changes) = (HashMap::new(), Mutex::default());
        let shared = Shared { entries, new_cache: Box::new(new_cache), clock, idle, max_keys, changes };
        TokenCaches { shared: Arc::new(shared) }
    }
}

impl<K, T> fmt::Debug for TokenCachesBuilder<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCachesBuilder").field("idle", &self.idle).finish_non_exhaustive()
    }
}
