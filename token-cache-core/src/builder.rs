//! [`TokenCacheBuilder`]: the settings of a cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::cache::TokenCache;
use crate::clock::{AnyClock, Clock, SystemClock};
use crate::config::{self, Config};
use crate::event::Event;
use crate::inner::{Inner, Setup};
use crate::jitter;
#[cfg(feature = "keyed")]
use crate::limiter::Limiter;
use crate::rt::Runtime;
use crate::source::TokenSource;
use crate::token::TemporaryToken;

/// Configures and builds a [`TokenCache`].
///
/// Every value is accepted: none makes [`build`](Self::build) fail or the cache panic.
#[must_use]
pub struct TokenCacheBuilder<T> {
    setup: Setup<T>,
    config: Config,
    initial: Option<TemporaryToken<T>>,
}

impl<T: Send + Sync + 'static> TokenCacheBuilder<T> {
    pub(crate) fn new(source: Arc<dyn TokenSource<Token = T>>) -> Self {
        let setup = Setup {
            source,
            clock: AnyClock::System(SystemClock::new()),
            config: Arc::default(),
            token_eq: None,
            listener: None,
            runtime: None,
            limiter: None,
            jitter_sample: Box::new(jitter::sample),
        };
        Self { setup, config: Config::default(), initial: None }
    }

    /// Sets how long before its expiry a token is refreshed in the background, at most half of its lifetime. Zero disables the
    /// refresh in the background.
    ///
    /// Default: 5 minutes. A request signed at the start of this period can be retried for 3 minutes with the same token, as
    /// object_store does, and issuers of machine credentials provide the next one at least that early.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).expiry_buffer(Duration::from_secs(600)).build();
    /// ```
    pub fn expiry_buffer(mut self, buffer: Duration) -> Self {
        self.config.expiry_buffer = config::fixed_buffer(buffer);
        self
    }

    /// Sets the [`expiry_buffer`](Self::expiry_buffer) as a function of the token's lifetime. The result is used as it is: if
    /// it is not less than the lifetime, the cache fetches once per `min_refresh_interval`. If it panics, the fetch fails with
    /// [`ErrorKind::CallbackPanicked`](crate::ErrorKind::CallbackPanicked).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// // In the last quarter of each token.
    /// let cache = TokenCache::builder(source).expiry_buffer_by(|lifetime| lifetime / 4).build();
    /// ```
    pub fn expiry_buffer_by(mut self, buffer: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> Self {
        self.config.expiry_buffer = Box::new(buffer);
        self
    }

    /// Sets the remaining lifetime below which callers wait for a new token, for at most 10 % of what remains. Limited to a
    /// quarter of the token's lifetime. Zero disables this: tokens are served until they expire.
    ///
    /// Default: 60 seconds. What is signed now must arrive before the expiry, by the clock of another machine.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).min_ttl(Duration::from_secs(30)).build();
    /// ```
    pub fn min_ttl(mut self, min_ttl: Duration) -> Self {
        self.config.min_ttl = min_ttl;
        self
    }

    /// Sets the minimum time between the starts of two fetches, for whatever reason they start. Zero disables it, except for
    /// the backoff, which then starts at 2 ms, and for the refreshes of [`keep_warm`](Self::keep_warm), which are at least
    /// 100 ms apart.
    ///
    /// Default: 1 second. Some issuers return the same token until shortly before it expires. This prevents a loop of fetches.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).min_refresh_interval(Duration::from_secs(10)).build();
    /// ```
    pub fn min_refresh_interval(mut self, interval: Duration) -> Self {
        self.config.min_refresh_interval = interval;
        self
    }

    /// Sets the maximum backoff, at least 1 ms.
    ///
    /// The backoff doubles with each consecutive failure, up to this limit, and a random value in its upper half is used. It is
    /// at most half of the stored token's remaining lifetime. While no token can be returned, the limit is a tenth of the time
    /// for which the source has been failing, from 5 to 60 seconds, and a random value from a tenth of the limit is used: then
    /// callers recover soon after the issuer does, but not all machines in the same second. This shorter limit does not apply
    /// to [permanent](crate::permanent) errors. An error can state a [longer time](crate::retry_after). The
    /// `min_refresh_interval` applies if it is longer.
    ///
    /// Default: 5 minutes. An issuer that is down for long should not be kept down by the requests of its clients.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).max_backoff(Duration::from_secs(60)).build();
    /// ```
    pub fn max_backoff(mut self, max_backoff: Duration) -> Self {
        self.config.max_backoff = max_backoff.max(config::MIN_INTERVAL);
        self
    }

    /// Sets the time after which a fetch fails, from its start.
    ///
    /// A fetch that blocks its thread, or whose runtime does not run it, fails at most one second later. Its task may then still
    /// run while the next fetch does.
    ///
    /// Default: 30 seconds. This leaves time for a source that retries, and is short enough to be noticed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).fetch_timeout(Duration::from_secs(10)).build();
    /// ```
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.config.fetch_timeout = timeout;
        self
    }

    /// Starts the refresh of each token earlier, by a random fraction of its `expiry_buffer` between 0 and `fraction`. Values
    /// outside of 0 to 1 are clamped.
    ///
    /// A token that was not fetched by a refresh in the background (the first one, for example, or one after a failure) is
    /// refreshed at a random point of its whole Fresh period, unless the fraction is 0. Otherwise machines that started
    /// together, or waited for the same issuer, would refresh together for days. An issuer's
    /// [`refresh_at`](TemporaryToken::refresh_at) is delayed by a random fraction of the time from then to the expiry.
    ///
    /// Default: 0.1. Machines that started together should not refresh together.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// // For a test, or a single machine.
    /// let cache = TokenCache::builder(source).jitter(0.0).build();
    /// ```
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.config.jitter = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        self
    }

    /// Replaces the random numbers, from 0 to 1, that determine the jitter and the backoff.
    ///
    /// Default: from the operating system.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).jitter_sample(|| 0.5).build();
    /// ```
    #[cfg(feature = "test-util")]
    pub fn jitter_sample(mut self, sample: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.setup.jitter_sample = Box::new(sample);
        self
    }

    /// Sets the clock.
    ///
    /// Default: [`SystemClock`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::VirtualClock;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let clock = VirtualClock::new();
    /// let cache = TokenCache::builder(source).clock(clock.clone()).build();
    /// clock.advance(Duration::from_secs(3600));
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.setup.clock = AnyClock::Custom(Arc::new(clock));
        self
    }

    /// Sets a listener for [`Event`]s. It runs in the task of a fetch or in the thread of a caller, so it should be quick. If
    /// it panics, that event is lost and nothing else.
    ///
    /// Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Event;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source)
    ///     .on_event(|event| {
    ///         if let Event::FetchFailed { error, failures, .. } = event {
    ///             eprintln!("{failures} in a row: {error}");
    ///         }
    ///     })
    ///     .build();
    /// ```
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.setup.listener = Some(Box::new(listener));
        self
    }

    /// Optional: seeds the cache with a token, such as vended credentials. An expired one is ignored.
    ///
    /// Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let vended = TemporaryToken::expires_in("vended", Duration::from_secs(900));
    /// let cache = TokenCache::builder(source).initial(vended).build();
    /// assert_eq!(*cache.peek().unwrap(), "vended");
    /// ```
    pub fn initial(mut self, token: TemporaryToken<T>) -> Self {
        self.initial = Some(token);
        self
    }

    /// Optional: while the source is down, returns an expired token for at most `duration` after its expiry, as
    /// [`stale-if-error`](https://www.rfc-editor.org/rfc/rfc5861#section-4) does in HTTP.
    ///
    /// The source is down if its last fetch failed, within the last [`max_backoff`](Self::max_backoff) plus
    /// [`fetch_timeout`](Self::fetch_timeout). Then callers get the token at once, and fetches run in the background. Otherwise
    /// they wait for a fetch. A [permanent](crate::permanent) error is returned to callers, because it does not end by itself.
    /// [`Status::serving_expired`](crate::Status::serving_expired) and [`Event::ServedExpired`] report it. A rejected token is
    /// never returned, nor is an expired one to a caller of [`get_valid_for`](TokenCache::get_valid_for).
    ///
    /// Default: zero, which disables this. Use it where the services that check the tokens are known to be lenient.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).stale_if_error(Duration::from_secs(600)).build();
    /// ```
    pub fn stale_if_error(mut self, duration: Duration) -> Self {
        self.config.stale_if_error = duration;
        self
    }

    /// Optional: refreshes in the background even without reads. Stops after 1 to 1.5 times `idle` without a read, or when the
    /// last handle is dropped. The next read starts it again. [`Duration::MAX`]: never stops. A [`Subscription`] counts as a
    /// reader.
    ///
    /// It starts in [`build`](Self::build) if that is called in a runtime, otherwise with the first caller, and runs in that
    /// runtime or in the [configured one](Self::runtime).
    ///
    /// Default: zero, which disables this, because a token that is not read does not have to be fetched. With this, a reader
    /// after a pause does not wait.
    ///
    /// [`Subscription`]: crate::Subscription
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).keep_warm(Duration::from_secs(900)).build();
    /// ```
    pub fn keep_warm(mut self, idle: Duration) -> Self {
        self.config.keep_warm = Some(idle).filter(|idle| !idle.is_zero());
        self
    }

    /// Optional: sets how two tokens are compared, so that a rejected token is recognized if the source returns it again.
    /// `PartialEq::eq` is such a function. Compare all of a token: a corrected secret with the same key id is another token. If
    /// it panics, the fetch fails with [`ErrorKind::CallbackPanicked`](crate::ErrorKind::CallbackPanicked).
    ///
    /// An answer that equals the rejected token is discarded if its fetch started before the rejection, and stored if it
    /// started later: the issuer insists on it. Callers of [`replace`](TokenCache::replace) get an error then.
    ///
    /// Default: none. Then the answer of a fetch that started before a rejection is discarded, and that of a fetch that started
    /// after it is accepted.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).token_eq(PartialEq::eq).build();
    /// ```
    pub fn token_eq(mut self, eq: impl Fn(&T, &T) -> bool + Send + Sync + 'static) -> Self {
        self.setup.token_eq = Some(Box::new(eq));
        self
    }

    /// Sets the runtime to fetch in, for programs with a separate runtime for I/O. The cache itself needs no timers of it.
    ///
    /// Default: the runtime of the caller who finds that a fetch is due.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let io = tokio::runtime::Runtime::new()?;
    /// let cache = TokenCache::builder(source).runtime(io.handle().clone()).build();
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.setup.runtime = Some(Runtime::new(runtime));
        self
    }

    /// Sets the name of the cache in logs and metrics.
    ///
    /// Default: `token`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).name("warehouse").build();
    /// assert!(format!("{cache:?}").contains("warehouse"));
    /// ```
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// As one of several caches of an issuer.
    #[cfg(feature = "keyed")]
    pub(crate) fn shared(mut self, clock: AnyClock, limiter: Option<Arc<Limiter>>) -> Self {
        (self.setup.clock, self.setup.limiter) = (clock, limiter);
        self
    }

    /// Builds the cache. Nothing is fetched or spawned, unless the cache is [kept warm](Self::keep_warm).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
    /// # let source = source_fn(|| async {
    /// #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    /// # });
    /// let cache = TokenCache::builder(source).build();
    /// assert!(cache.peek().is_none());
    /// ```
    #[must_use]
    pub fn build(self) -> TokenCache<T> {
        let Self { mut setup, config, initial } = self;
        setup.config = Arc::new(config);
        let inner = Arc::new(Inner::new(setup, initial));
        inner.ensure_kept_warm();
        TokenCache { inner }
    }
}

impl<T> fmt::Debug for TokenCacheBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCacheBuilder").field("name", &self.config.name).finish_non_exhaustive()
    }
}
