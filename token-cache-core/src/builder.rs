//! [`TokenCacheBuilder`]: the settings, each with its default and why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::cache::TokenCache;
use crate::clock::{Clock, SystemClock};
use crate::entropy;
use crate::event::Event;
use crate::policy::{ExpiryBuffer, Policy};
use crate::runtime::Runtime;
use crate::shared::{Setup, Shared};
use crate::source::TokenSource;
use crate::state::Stored;
use crate::token::TemporaryToken;

/// Sets up a [`TokenCache`].
///
/// Every value is accepted: none makes [`build`](Self::build) fail or the cache panic.
#[must_use]
pub struct TokenCacheBuilder<T> {
    setup: Setup<T>,
    initial: Option<TemporaryToken<T>>,
}

impl<T: Send + Sync + 'static> TokenCacheBuilder<T> {
    pub(crate) fn new(source: Arc<dyn TokenSource<Token = T>>) -> Self {
        let (clock, policy) = (Arc::new(SystemClock::new()), Policy::default());
        let setup =
            Setup { source, clock, policy, same: None, listener: None, runtime: None, name: Arc::from("token") };
        Self { setup, initial: None }
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

    /// A token to begin with, which came with something else: with a table whose credentials are vended, say. One that has
    /// expired is left aside.
    ///
    /// Default: none.
    pub fn initial(mut self, token: TemporaryToken<T>) -> Self {
        self.initial = Some(token);
        self
    }

    /// While the source is down, hands out a token that has expired, for so long after its expiry at the most. A fetch is
    /// still tried first whenever the pacing allows; callers wait for it for a tenth of the time that is left.
    /// [`Status::serving_expired`](crate::Status::serving_expired) and [`Event::ServedExpired`] show it. A token that was
    /// rejected is never handed out, nor is an expired one to who asks for one that lasts.
    ///
    /// Default: zero, that is never. Right where those who check tokens are known to be lenient.
    pub fn stale_if_error(mut self, span: Duration) -> Self {
        self.setup.policy.stale_if_error = span;
        self
    }

    /// Refreshes by timer, without being read, until nothing was read for `idle` (and up to half as long again), or the last
    /// handle is dropped. The next reader starts it anew. [`Duration::MAX`]: for good.
    ///
    /// It begins with [`build`](Self::build) if there is a runtime then, else with the first caller.
    ///
    /// Default: off. What nobody reads need not be fetched; with this, a reader after a pause does not wait.
    pub fn keep_warm(mut self, idle: Duration) -> Self {
        self.setup.policy.keep_warm = Some(idle);
        self
    }

    /// Tells whether two tokens are the same, so that an answer that is the rejected token once more counts as a failed
    /// fetch. `PartialEq::eq` is one. It is called under the cache's lock, and should be quick.
    ///
    /// Default: none. Then the answer of a fetch that had begun before a rejection is not trusted, and one that began after
    /// it is.
    pub fn token_eq(mut self, same: impl Fn(&T, &T) -> bool + Send + Sync + 'static) -> Self {
        self.setup.same = Some(Box::new(same));
        self
    }

    /// Where to fetch: for programs that keep their I/O on a runtime of its own. It needs its time driver enabled.
    ///
    /// Default: the runtime of the caller who finds that a fetch is due.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.setup.runtime = Some(Runtime::new(runtime));
        self
    }

    /// What the cache is called in logs and metrics.
    ///
    /// Default: `token`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.setup.name = name.into();
        self
    }

    /// The cache. Nothing is fetched or started yet, unless it is to be [kept warm](Self::keep_warm).
    #[must_use]
    pub fn build(self) -> TokenCache<T> {
        let Self { setup, initial } = self;
        let now = setup.clock.now();
        let initial = initial.and_then(|token| Stored::new(&setup.policy, token, now, now, entropy::draw()).ok());
        let cache = TokenCache { shared: Arc::new(Shared::new(setup, initial)) };
        cache.keep_warm();
        cache
    }
}

impl<T> fmt::Debug for TokenCacheBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCacheBuilder").field("policy", &self.setup.policy).finish_non_exhaustive()
    }
}
