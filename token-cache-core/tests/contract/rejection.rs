//! Promises 15 and 16: a token that was turned down.

use super::*;
use token_cache_core::{ErrorKind, Event, TokenCache};
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
    bench.source.assert_no_fetch().await;
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
    handle.assert_no_fetch().await;

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
    bench.source.assert_no_fetch().await;
    bench.clock.advance(SECOND * 3 / 4 - MS);
    bench.source.assert_no_fetch().await;
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

/// A refresh is under way, and "a" is rejected in the middle of it.
async fn rejected_during_a_refresh(same: bool) -> (Bench, token_cache_testing::Fetch<Token>) {
    let mut bench = Bench::with(|builder| if same { builder.token_eq(PartialEq::eq) } else { builder });
    let token = bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR - 4 * MINUTE);
    bench.at_once();
    let fetch = bench.source.next_fetch().await;
    bench.cache.invalidate(&token);
    (bench, fetch)
}

#[tokio::test]
async fn p16_a_fetch_from_before_the_rejection_cannot_bring_the_rejected_token_back() {
    for same in [true, false] {
        let (mut bench, fetch) = rejected_during_a_refresh(same).await;
        let get = bench.get();
        fetch.succeed(TemporaryToken::new("a", bench.clock.after(HOUR)));
        settled().await;
        assert!(bench.cache.peek().is_none(), "comparable: {same}");
        if same {
            assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected);
            bench.clock.advance(2 * SECOND);
            assert_eq!(*bench.fetch("b", HOUR).await, "b");
        } else {
            bench.clock.advance(SECOND);
            bench.answer("b", HOUR).await;
            assert_eq!(*get.await.unwrap().unwrap(), "b");
        }
    }
}

#[tokio::test]
async fn p16_what_is_known_to_be_another_token_is_taken_from_a_fetch_before_the_rejection() {
    let (bench, fetch) = rejected_during_a_refresh(true).await;
    let get = bench.get();
    fetch.succeed(TemporaryToken::new("b", bench.clock.after(HOUR)));
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p16_a_source_that_knows_only_the_rejected_token_is_asked_at_growing_distances() {
    let mut bench = Bench::with(|builder| builder.token_eq(PartialEq::eq));
    let token = bench.fetch("a", HOUR).await;
    bench.cache.invalidate(&token);
    let mut asked = 0;
    for _ in 0..600 {
        bench.clock.advance(100 * MS);
        let get = bench.get();
        settled().await;
        if bench.source.fetches() > asked + 1 {
            asked += 1;
            bench.answer("a", HOUR).await;
        }
        if get.is_finished() {
            assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected);
        }
    }
    assert!((12..=28).contains(&asked), "asked {asked} times in a minute");
}

#[tokio::test]
async fn p16_without_a_comparison_a_fetch_from_after_the_rejection_is_taken_at_its_word() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(SECOND);
    let token = bench.cache.get().await.unwrap();
    bench.cache.invalidate(&token);
    let again = bench.fetch("a", HOUR).await;
    assert!(!Arc::ptr_eq(&token, &again));
}

#[tokio::test]
async fn p16_a_rejection_is_forgotten_with_the_next_token() {
    let mut bench = Bench::with(|builder| builder.token_eq(PartialEq::eq));
    let token = bench.fetch("a", HOUR).await;
    bench.clock.advance(SECOND);
    bench.cache.invalidate(&token);
    bench.fetch("b", HOUR).await;
    bench.clock.advance(SECOND);
    let refresh = bench.refresh();
    bench.answer("a", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "a", "the issuer may have had its reasons");
}
