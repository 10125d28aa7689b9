//! The contract of the cache, promise by promise: `pNN_` is the promise that a test keeps. All on virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod choices;
mod design;
mod fetching;
mod lifetime;
mod outages;
mod pacing;
mod rejection;
mod secrets;
mod serving;
mod sight;
mod time;
mod views;

use std::sync::Arc;
use std::time::Duration;

use token_cache_core::{Error, TemporaryToken, TokenCache, TokenCacheBuilder};
use token_cache_testing::{EventLog, SourceHandle, VirtualClock, mock_source};
use tokio::task::JoinHandle;

type Token = &'static str;
type Outcome = Result<Arc<Token>, Error>;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A cache with the defaults but no jitter, its source and its time.
struct Bench {
    cache: TokenCache<Token>,
    source: SourceHandle<Token>,
    clock: VirtualClock,
    log: EventLog,
}

impl Bench {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(setup: impl FnOnce(TokenCacheBuilder<Token>) -> TokenCacheBuilder<Token>) -> Self {
        let (clock, log) = (VirtualClock::new(), EventLog::new());
        let (mock, source) = mock_source();
        let builder = TokenCache::builder(mock).jitter(0.0).clock(clock.clone()).on_event(log.listener());
        Self { cache: setup(builder).build(), source, clock, log }
    }

    /// A cache that holds the token "a", which has just been fetched and lives for `lifetime`.
    async fn holding(lifetime: Duration) -> Self {
        let mut bench = Self::new();
        bench.fetch("a", lifetime).await;
        bench
    }

    /// A cache that holds "a" with `left` of an hour, and no refresh yet.
    async fn with_left(left: Duration) -> Self {
        let bench = Self::holding(HOUR).await;
        bench.clock.advance(HOUR - left);
        bench
    }

    /// Has the cache fetch `token`.
    async fn fetch(&mut self, token: Token, lifetime: Duration) -> Arc<Token> {
        let get = self.get();
        self.answer(token, lifetime).await;
        get.await.unwrap().unwrap()
    }

    /// Answers the next fetch, and lets the cache take the answer in.
    async fn answer(&mut self, token: Token, lifetime: Duration) {
        let token = TemporaryToken::new(token, self.clock.after(lifetime));
        self.source.next_fetch().await.succeed(token);
        settled().await;
    }

    /// Fails the next fetch, and lets the cache take that in.
    async fn fail(&mut self) {
        self.source.next_fetch().await.fail("the issuer is down");
        settled().await;
    }

    /// A caller.
    fn get(&self) -> JoinHandle<Outcome> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.get().await })
    }

    fn get_valid_for(&self, span: Duration) -> JoinHandle<Outcome> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.get_valid_for(span).await })
    }

    fn refresh(&self) -> JoinHandle<Outcome> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.refresh().await })
    }

    /// What a caller gets who will not wait at all: polled once, and no more.
    fn get_at_once(&self) -> Option<Outcome> {
        futures::FutureExt::now_or_never(self.cache.get())
    }

    /// The token that a caller gets who will not wait at all.
    fn at_once(&self) -> Token {
        *self.get_at_once().expect("a caller had to wait").expect("a caller was refused")
    }
}

/// Lets every other task run until it waits.
async fn settled() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}
