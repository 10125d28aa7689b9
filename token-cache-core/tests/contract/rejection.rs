//! Promises 15 and 16: a token that a service has rejected.

use token_cache_core::test_util::Fetch;
use token_cache_core::{ErrorKind, Event, FetchState};

use super::*;

#[tokio::test]
async fn p15_an_invalidated_token_is_replaced() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(MINUTE);
    let token = harness.cache.get().await.unwrap();
    drop(harness.log.take());
    harness.cache.invalidate(&token);
    assert!(matches!(harness.log.take()[..], [Event::Invalidated { generation: 1, .. }]));
    assert!(harness.cache.peek().is_none());
    assert_eq!(*harness.fetch("b", HOUR).await, "b");
}

#[tokio::test]
async fn p15_a_late_rejection_keeps_the_newer_token() {
    let mut harness = with_token(HOUR).await;
    let old = harness.cache.get().await.unwrap();
    harness.clock.advance(HOUR);
    harness.fetch("b", HOUR).await;
    harness.cache.invalidate(&old);
    assert_eq!(harness.get_now(), "b");
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p15_an_equal_token_in_another_arc_stays() {
    let harness = with_token(HOUR).await;
    harness.cache.invalidate(&Arc::new("a"));
    assert_eq!(harness.get_now(), "a");
}

#[tokio::test]
async fn p15_a_token_without_expiry_can_be_rejected() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    harness.source.next_fetch().await.succeed(TemporaryToken::never_expires("key"));
    let key = get.await.unwrap().unwrap();
    harness.clock.advance(10_000 * HOUR);
    assert!(Arc::ptr_eq(&key, &harness.cache.get().await.unwrap()));
    harness.source.assert_no_fetch().await;

    harness.cache.invalidate(&key);
    let get = harness.spawn_get();
    harness.source.next_fetch().await.succeed(TemporaryToken::never_expires("new key"));
    assert_eq!(*get.await.unwrap().unwrap(), "new key");
}

#[tokio::test]
async fn p15_a_rejection_does_not_lift_the_interval() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(SECOND / 4);
    let token = harness.cache.get().await.unwrap();
    harness.cache.invalidate(&token);
    let get = harness.spawn_get();
    harness.source.assert_no_fetch().await;
    harness.clock.advance(SECOND * 3 / 4 - MS);
    harness.source.assert_no_fetch().await;
    harness.clock.advance(MS);
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p15_100_rejections_of_one_token_fetch_once() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(MINUTE);
    let token = harness.cache.get().await.unwrap();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            harness.cache.invalidate(&token);
            harness.spawn_get()
        })
        .collect();
    harness.succeed("b", HOUR).await;
    for caller in callers {
        assert_eq!(*caller.await.unwrap().unwrap(), "b");
    }
    assert_eq!(harness.source.fetches(), 2);
}

fn comparing(compare: bool) -> Harness {
    Harness::with(|builder| if compare { builder.token_eq(PartialEq::eq) } else { builder })
}

/// A refresh runs, and "a" is invalidated before its answer arrives.
async fn invalidated_during_a_refresh(compare: bool) -> (Harness, Fetch<Token>) {
    let mut harness = comparing(compare);
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    let _ = harness.get_now();
    let fetch = harness.source.next_fetch().await;
    harness.cache.invalidate(&token);
    (harness, fetch)
}

#[tokio::test]
async fn p16_an_earlier_fetch_never_restores_the_token() {
    for compare in [true, false] {
        let (mut harness, fetch) = invalidated_during_a_refresh(compare).await;
        let get = harness.spawn_get();
        fetch.succeed_for("a", HOUR);
        settled().await;
        assert!(harness.cache.peek().is_none(), "comparable: {compare}");
        if compare {
            assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected);
            harness.clock.advance(2 * SECOND);
            assert_eq!(*harness.fetch("b", HOUR).await, "b");
        } else {
            harness.clock.advance(SECOND);
            harness.succeed("b", HOUR).await;
            assert_eq!(*get.await.unwrap().unwrap(), "b");
        }
    }
}

#[tokio::test]
async fn p16_an_earlier_fetch_can_return_another_token() {
    let (harness, fetch) = invalidated_during_a_refresh(true).await;
    let get = harness.spawn_get();
    fetch.succeed_for("b", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "b");
    assert_eq!(harness.source.fetches(), 2);
}

/// A fetch that was requested before the invalidation, but had not started: its answer is newer than the rejection.
#[tokio::test]
async fn p16_a_fetch_that_starts_later_is_trusted() {
    let mut harness = Harness::new();
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    // This spawns the task of the fetch, which starts with the next `await`.
    assert_eq!(harness.get_now(), "a");
    assert!(harness.cache.status().fetch == FetchState::Running && harness.source.fetches() == 1);
    harness.cache.invalidate(&token);
    let get = harness.spawn_get();
    harness.succeed("b", HOUR).await;
    assert!(get.is_finished(), "no second fetch is needed");
    assert_eq!(*get.await.unwrap().unwrap(), "b");
    assert_eq!(harness.source.fetches(), 2);
}

/// <https://github.com/googleapis/google-api-java-client/issues/644>
#[tokio::test]
async fn p16_a_source_that_repeats_the_token_is_paced() {
    let mut harness = comparing(true);
    let token = harness.fetch("a", HOUR).await;
    harness.cache.invalidate(&token);
    let mut fetches = 0;
    for _ in 0..600 {
        harness.clock.advance(100 * MS);
        let get = harness.spawn_get();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetches += 1;
            fetch.succeed_for("a", HOUR);
            settled().await;
        }
        if get.is_finished() {
            assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected);
        }
    }
    assert!((12..=28).contains(&fetches), "{fetches} fetches in a minute");
}

#[tokio::test]
async fn p16_a_later_fetch_is_trusted_without_token_eq() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(SECOND);
    let token = harness.cache.get().await.unwrap();
    harness.cache.invalidate(&token);
    let again = harness.fetch("a", HOUR).await;
    assert!(!Arc::ptr_eq(&token, &again));
}

#[tokio::test]
async fn p16_the_next_token_ends_a_rejection() {
    let mut harness = comparing(true);
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(SECOND);
    harness.cache.invalidate(&token);
    harness.fetch("b", HOUR).await;
    harness.clock.advance(SECOND);
    let refresh = spawn_refresh(&harness);
    harness.succeed("a", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "a");
}
