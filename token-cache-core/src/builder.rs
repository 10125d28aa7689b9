//! [`TokenCacheBuilder`]: the settings, each with its default and why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Setup, TokenCache};
use crate::clock::{Clock, SystemClock};
use crate::event::Event;
use crate::policy::{ExpiryBuffer, Policy};
use crate::source::TokenSource;

/// Sets up a [`TokenCache`].
///
/// Every value is accepted: none makes [`build`](Self::build) fail or the cache panic.
#[must_use]
pub struct TokenCacheBuilder<T> {
    setup: Setup<T>,
}

impl<T: Send + Sync + 'static> TokenCacheBuilder<T> {
    pub(crate) fn new(source: Arc<dyn TokenSource<Token = T>>) -> Self {
        let (clock, policy) = (Arc::new(SystemClock::new()), Policy::default());
        Self { setup: Setup { source, clock, policy, listener: None } }
    }

    /// How long before the expiry a refresh in the background begins, at most half of the token's lifetime. Zero:
    /// none.
    ///
    /// Default: 5 minutes. A request signed at the start of the window may be retried for 3 minutes with the same token
    /// (object_store does), and the machines that issue tokens have the next one at least that early.
    pub fn expiry_buffer(mut self, buffer: Duration) -> Self {
        self.setup.policy.expiry_buffer = ExpiryBuffer::Fixed(buffer);
        self
    }

    /// The same as a rule by the token's lifetime, and taken as the rule says. A rule that gives the whole lifetime or
    /// more makes the cache fetch as often as the `min_refresh_interval` lets it.
    pub fn expiry_buffer_by(mut self, rule: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> Self {
        self.setup.policy.expiry_buffer = ExpiryBuffer::ByLifetime(Arc::new(rule));
        self
    }

    /// With less than this left, a token is only handed out where a new one cannot be had within a tenth of what is left.
    /// It counts for at most a quarter of the token's lifetime. Zero: a token is as good in its last moment as before.
    ///
    /// Default: 60 seconds. What is signed now has to arrive, and be checked by another machine's clock.
    pub fn min_ttl(mut self, min_ttl: Duration) -> Self {
        self.setup.policy.min_ttl = min_ttl;
        self
    }

    /// No two fetches begin closer to each other than this, whatever the reason.
    ///
    /// Default: 1 second. Some issuers answer with the same token until shortly before its end; this keeps the cache
    /// from asking in a loop.
    pub fn min_refresh_interval(mut self, interval: Duration) -> Self {
        self.setup.policy.min_refresh_interval = interval;
        self
    }

    /// After failures in a row the source is left alone for twice as long each time, up to this, spread at random over
    /// the upper half. Never past half of what the stored token has left, and for at most 5 seconds while nothing can be
    /// handed out. The `min_refresh_interval` counts where it is longer.
    ///
    /// Default: 5 minutes. An issuer that is down for long is not kept there by those who wait for it.
    pub fn max_backoff(mut self, max_backoff: Duration) -> Self {
        self.setup.policy.max_backoff = max_backoff;
        self
    }

    /// How long one fetch may take, from its own start. One that takes longer has failed.
    ///
    /// Default: 30 seconds. Long enough for a source that retries by itself, short enough to be noticed.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.setup.policy.fetch_timeout = timeout;
        self
    }

    /// Starts the refresh of each token earlier by a random share of its `expiry_buffer`, up to this one, drawn anew for
    /// each. Between 0 and 1; what lies outside counts as the nearer of the two.
    ///
    /// Default: 0.1. Machines that started together do not refresh together.
    pub fn jitter(mut self, share: f64) -> Self {
        self.setup.policy.jitter = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// Where the time comes from.
    ///
    /// Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.setup.clock = Arc::new(clock);
        self
    }

    /// Is told of every [`Event`], on the task that fetches or the thread that invalidates. It should be quick. One that
    /// panics loses that event and nothing else.
    ///
    /// Default: nobody is told.
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.setup.listener = Some(Box::new(listener));
        self
    }

    /// The cache. Nothing is fetched or started yet.
    #[must_use]
    pub fn build(self) -> TokenCache<T> {
        TokenCache::new(self.setup)
    }
}

impl<T> fmt::Debug for TokenCacheBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCacheBuilder").field("policy", &self.setup.policy).finish_non_exhaustive()
    }
}
