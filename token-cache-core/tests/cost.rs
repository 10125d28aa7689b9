//! What a hit costs: `cost_` tests count allocations on the thread that reads. That a hit takes no lock is tested beside
//! the lock, in `src/cache.rs`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
use token_cache_core::{Freshness, TemporaryToken, TokenCache, View};
use token_cache_testing::{SourceHandle, VirtualClock, mock_source};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn cost_a_hit_in_fresh_allocates_nothing() {
    let bench = Bench::with_left(HOUR).await;
    assert_eq!(bench.cache.status().freshness, Freshness::Fresh);
    bench.assert_hits_are_free();
}

#[tokio::test]
async fn cost_a_hit_near_expiry_allocates_nothing_while_a_refresh_is_in_flight() {
    let mut bench = Bench::with_left(4 * MINUTE).await;
    bench.cache.get().now_or_never().unwrap().unwrap();
    let _hangs = bench.source.next_fetch().await;
    let status = bench.cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.refreshing);
    bench.assert_hits_are_free();
}

#[tokio::test]
async fn cost_a_hit_near_expiry_allocates_nothing_during_a_backoff() {
    let mut bench = Bench::with_left(4 * MINUTE).await;
    bench.cache.get().now_or_never().unwrap().unwrap();
    bench.fail().await;
    let status = bench.cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.failures == 1 && !status.next_attempt.is_zero());
    bench.assert_hits_are_free();
}

#[tokio::test]
async fn cost_a_hit_in_too_short_allocates_nothing_during_a_backoff() {
    let mut bench = Bench::with_left(50 * SECOND).await;
    let waits = bench.get();
    bench.fail().await;
    waits.await.unwrap();
    let status = bench.cache.status();
    assert!(status.freshness == Freshness::TooShort && status.failures == 1 && !status.next_attempt.is_zero());
    bench.assert_hits_are_free();
}

#[tokio::test]
async fn cost_a_hit_in_too_short_allocates_nothing_once_the_patience_is_over() {
    let mut bench = Bench::with_left(50 * SECOND).await;
    let waits = bench.get();
    let _hangs = bench.source.next_fetch().await;
    bench.clock.advance(5 * SECOND);
    waits.await.unwrap();
    // The first who comes after the patience decides that for all others.
    bench.cache.get().now_or_never().unwrap().unwrap();
    let status = bench.cache.status();
    assert!(status.freshness == Freshness::TooShort && status.refreshing);
    bench.assert_hits_are_free();
}

#[tokio::test]
async fn cost_a_hit_on_a_token_that_never_expires_allocates_nothing() {
    let bench = Bench::holding(TemporaryToken::never_expires("a")).await;
    bench.assert_hits_are_free();
}

#[tokio::test]
async fn cost_a_hit_for_one_who_needs_it_longer_allocates_nothing() {
    let bench = Bench::with_left(HOUR).await;
    bench.warm_up();
    assert_eq!(allocations(|| bench.cache.get_valid_for(HOUR / 2).now_or_never().unwrap().unwrap()), 0);
}

/// The one of the trait's boxed future.
#[tokio::test]
#[cfg(feature = "object_store-0_14")]
async fn cost_a_hit_through_object_store_is_one_allocation() {
    use object_store::CredentialProvider;

    let bench = Bench::with_left(HOUR).await;
    bench.warm_up();
    let cache: Arc<dyn CredentialProvider<Credential = &str>> = Arc::new(bench.cache.clone());
    let view: Arc<dyn CredentialProvider<Credential = usize>> = Arc::new(bench.view.clone());
    assert_eq!(allocations(|| cache.get_credential().now_or_never().unwrap().unwrap()), u64::from(HITS), "of a cache");
    assert_eq!(allocations(|| view.get_credential().now_or_never().unwrap().unwrap()), u64::from(HITS), "of a view");
}

#[test]
fn cost_a_hit_on_the_machines_own_clock_allocates_nothing_and_needs_no_runtime() {
    let (mock, mut source) = mock_source();
    let cache = TokenCache::builder(mock).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = async { source.next_fetch().await.succeed(TemporaryToken::expires_in("a", HOUR)) };
        let (token, ()) = join(cache.get(), answer).await;
        token.unwrap();
    });
    drop(runtime);
    let hit = || cache.get().now_or_never().unwrap().unwrap();
    hit();
    assert_eq!(allocations(hit), 0);
}

#[test]
fn cost_what_is_allocated_is_counted() {
    assert_eq!(allocations(|| Box::new(1)), u64::from(HITS));
}

struct Bench {
    cache: TokenCache<&'static str>,
    view: View<&'static str, usize>,
    source: SourceHandle<&'static str>,
    clock: VirtualClock,
}

impl Bench {
    async fn holding(token: TemporaryToken<&'static str>) -> Self {
        let (clock, (mock, mut source)) = (VirtualClock::new(), mock_source::<&str>());
        let cache = TokenCache::builder(mock).jitter(0.0).clock(clock.clone()).build();
        let view = cache.view(|token| token.len());
        let answer = async { source.next_fetch().await.succeed(token) };
        let (token, ()) = join(cache.get(), answer).await;
        token.unwrap();
        Self { cache, view, source, clock }
    }

    /// A cache that holds "a" with `left` of an hour, and no refresh yet.
    async fn with_left(left: Duration) -> Self {
        let bench = Self::holding(TemporaryToken::expires_in("a", HOUR)).await;
        bench.clock.advance(HOUR - left);
        bench
    }

    fn get(&self) -> tokio::task::JoinHandle<()> {
        let cache = self.cache.clone();
        tokio::spawn(async move { assert_eq!(*cache.get().await.unwrap(), "a") })
    }

    /// Fails the next fetch, and lets the cache take that in.
    async fn fail(&mut self) {
        self.source.next_fetch().await.fail("the issuer is down");
        self.source.assert_no_fetch().await;
    }

    /// The first read of a view converts, and the first hit of a thread makes room for what it notes.
    fn warm_up(&self) {
        for _ in 0..2 {
            self.cache.get().now_or_never().unwrap().unwrap();
            self.view.get().now_or_never().unwrap().unwrap();
        }
    }

    fn assert_hits_are_free(&self) {
        self.warm_up();
        let token = self.cache.peek().unwrap();
        let fetches = self.source.fetches();
        let get = || {
            let hit = self.cache.get().now_or_never().unwrap().unwrap();
            assert!(Arc::ptr_eq(&hit, &token));
        };
        assert_eq!(allocations(get), 0, "by get");
        assert_eq!(allocations(|| self.view.get().now_or_never().unwrap().unwrap()), 0, "through a view");
        assert_eq!(self.source.fetches(), fetches, "hits, and nothing else");
    }
}

/// What as many calls as a cache sees between two breaths allocate on this thread, whether or not they free it again.
fn allocations<R>(call: impl Fn() -> R) -> u64 {
    let counted = allocation_counter::measure(|| {
        for _ in 0..HITS {
            drop(black_box(call()));
        }
    });
    assert_eq!(counted.count_current, 0, "allocated and freed in equal numbers");
    counted.count_total
}

const HITS: u32 = 1000;
