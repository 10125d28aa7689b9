//! The cost of a hit: allocations on the thread that reads. The unit tests of the core show that it takes no lock.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
use token_cache_core::test_util::{self, mock_source};
use token_cache_core::{FetchState, Freshness, TemporaryToken, TokenCache};

type Harness = test_util::Harness<&'static str>;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn cost_fresh_hits_allocate_nothing() {
    let harness = with_remaining(HOUR).await;
    assert_eq!(harness.cache.status().freshness, Freshness::Fresh);
    assert_no_allocation(&harness);
}

#[tokio::test]
async fn cost_hits_during_a_refresh_allocate_nothing() {
    let mut harness = with_remaining(4 * MINUTE).await;
    let _ = harness.get_now();
    let _hangs = harness.source.next_fetch().await;
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.fetch == FetchState::Running);
    assert_no_allocation(&harness);
}

#[tokio::test]
async fn cost_hits_during_a_backoff_allocate_nothing() {
    let mut harness = with_remaining(4 * MINUTE).await;
    let _ = harness.get_now();
    harness.fail().await;
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.failures == 1 && !status.next_attempt.is_zero());
    assert_no_allocation(&harness);
}

#[tokio::test]
async fn cost_too_short_hits_during_a_backoff_allocate_nothing() {
    let mut harness = with_remaining(50 * SECOND).await;
    let waits = harness.spawn_get();
    harness.fail().await;
    waits.await.unwrap().unwrap();
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::TooShort && status.failures == 1 && !status.next_attempt.is_zero());
    assert_no_allocation(&harness);
}

/// The waiter whose soft deadline has passed publishes that, so that no later reader has to make a decision.
#[tokio::test]
async fn cost_hits_after_the_soft_deadline_allocate_nothing() {
    let mut harness = with_remaining(50 * SECOND).await;
    let waits = harness.spawn_get();
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(5 * SECOND);
    waits.await.unwrap().unwrap();
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::TooShort && status.fetch == FetchState::Running);
    assert_eq!(allocations(|| harness.get_now()), 0, "from the first hit on");
    assert_no_allocation(&harness);
}

#[tokio::test]
async fn cost_hits_without_expiry_allocate_nothing() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    harness.source.next_fetch().await.succeed(TemporaryToken::never_expires("a"));
    get.await.unwrap().unwrap();
    assert_no_allocation(&harness);
}

#[tokio::test]
async fn cost_hits_of_get_valid_for_allocate_nothing() {
    let harness = with_remaining(HOUR).await;
    let hit = || harness.cache.get_valid_for(HOUR / 2).now_or_never().unwrap().unwrap();
    assert_eq!(allocations(hit), 0);
}

/// The allocation is the boxed future of the trait.
#[tokio::test]
#[cfg(feature = "object_store-0_14")]
async fn cost_hits_through_object_store_allocate_once() {
    use object_store::CredentialProvider;

    let harness = with_remaining(HOUR).await;
    let view = harness.cache.view(|token| token.len());
    view.get().await.unwrap();
    let cache: Arc<dyn CredentialProvider<Credential = &str>> = Arc::new(harness.cache.clone());
    let view: Arc<dyn CredentialProvider<Credential = usize>> = Arc::new(view);
    assert_eq!(allocations(|| cache.get_credential().now_or_never().unwrap().unwrap()), u64::from(HITS), "a cache");
    assert_eq!(allocations(|| view.get_credential().now_or_never().unwrap().unwrap()), u64::from(HITS), "a view");
}

#[test]
fn cost_hits_on_the_system_clock_allocate_nothing() {
    let (mock, mut source) = mock_source();
    let cache = TokenCache::builder(mock).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = async { source.wait_for_fetch().await.succeed_for("a", HOUR) };
        join(cache.get(), answer).await.0.unwrap();
    });
    drop(runtime);
    let hit = || cache.get().now_or_never().unwrap().unwrap();
    hit();
    assert_eq!(allocations(hit), 0);
}

#[test]
fn cost_allocations_are_counted() {
    assert_eq!(allocations(|| Box::new(1)), u64::from(HITS));
}

/// A cache whose token "a" is valid for another `remaining` of one hour. This thread has read it.
async fn with_remaining(remaining: Duration) -> Harness {
    let mut harness = Harness::new();
    harness.fetch("a", HOUR).await;
    let _ = harness.get_now();
    harness.clock.advance(HOUR - remaining);
    harness
}

fn assert_no_allocation(harness: &Harness) {
    let view = harness.cache.view(|token| token.len());
    view.get().now_or_never().unwrap().unwrap(); // converts
    let token = harness.cache.peek().unwrap();
    let fetches = harness.source.fetches();
    let get = || {
        let hit = harness.poll_get().unwrap().unwrap();
        assert!(Arc::ptr_eq(&hit, &token));
    };
    assert_eq!(allocations(get), 0, "by get");
    assert_eq!(allocations(|| view.get().now_or_never().unwrap().unwrap()), 0, "through a view");
    assert_eq!(harness.source.fetches(), fetches, "no fetch");
}

/// The number of allocations that many calls make on this thread, whether or not they are freed again.
fn allocations<R>(call: impl Fn() -> R) -> u64 {
    let counted = allocation_counter::measure(|| {
        for _ in 0..HITS {
            drop(black_box(call()));
        }
    });
    assert_eq!(counted.count_current, 0, "as many were freed");
    counted.count_total
}

const HITS: u32 = 1000;

/// A result that takes more than two registers is written in parts and read as a whole, which cost a hit half of its time.
#[test]
fn cost_the_result_of_a_hit_fits_into_two_registers() {
    assert_eq!(size_of::<Result<Arc<&str>, token_cache_core::Error>>(), 2 * size_of::<usize>());
}
