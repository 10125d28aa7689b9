//! Promise 15: a token that was turned down.

use super::*;
use token_cache_core::{Event, TokenCache};
use token_cache_testing::mock_source;

#[tokio::test]
async fn p15_a_rejected_token_is_dropped_and_a_new_one_fetched() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(MINUTE);
    let token = bench.cache.get().await.unwrap();
    drop(bench.log.take());
    bench.cache.invalidate(&token);
    assert!(matches!(bench.log.take()[..], [Event::Invalidated { generation: 1, .. }]));
    assert!(bench.cache.peek().is_none());
    assert_eq!(*bench.fetch("b", HOUR).await, "b");
}

#[tokio::test]
async fn p15_a_late_rejection_leaves_the_newer_token_alone() {
    let mut bench = Bench::holding(HOUR).await;
    let old = bench.cache.get().await.unwrap();
    bench.clock.advance(HOUR);
    bench.fetch("b", HOUR).await;
    bench.cache.invalidate(&old);
    assert_eq!(bench.at_once(), "b");
    bench.source.no_fetch().await;
}

#[tokio::test]
async fn p15_an_equal_token_of_another_arc_is_another_token() {
    let bench = Bench::holding(HOUR).await;
    bench.cache.invalidate(&Arc::new("a"));
    assert_eq!(bench.at_once(), "a");
}

#[tokio::test]
async fn p15_a_token_that_never_expires_can_be_rejected() {
    let clock = VirtualClock::new();
    let (source, mut handle) = mock_source();
    let cache = TokenCache::builder(source).clock(clock.clone()).build();
    let get = || {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get().await.unwrap() })
    };
    let first = get();
    handle.next_fetch().await.succeed(TemporaryToken::never_expires("key"));
    let key = first.await.unwrap();
    clock.advance(10_000 * HOUR);
    assert!(Arc::ptr_eq(&key, &cache.get().await.unwrap()));
    handle.no_fetch().await;

    cache.invalidate(&key);
    let second = get();
    handle.next_fetch().await.succeed(TemporaryToken::never_expires("new key"));
    assert_eq!(*second.await.unwrap(), "new key");
}

#[tokio::test]
async fn p15_within_the_interval_after_a_success_a_caller_waits_for_its_end_and_the_next_fetch() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(SECOND / 4);
    let token = bench.cache.get().await.unwrap();
    bench.cache.invalidate(&token);
    let get = bench.get();
    bench.source.no_fetch().await;
    bench.clock.advance(SECOND * 3 / 4 - MS);
    bench.source.no_fetch().await;
    bench.clock.advance(MS);
    bench.answer("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p15_a_hundred_rejections_of_one_token_cost_one_fetch() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(MINUTE);
    let token = bench.cache.get().await.unwrap();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            bench.cache.invalidate(&token);
            bench.get()
        })
        .collect();
    bench.answer("b", HOUR).await;
    for caller in callers {
        assert_eq!(*caller.await.unwrap().unwrap(), "b");
    }
    assert_eq!(bench.source.fetches(), 2);
}
