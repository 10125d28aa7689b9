//! Promises 15 and 16: a token that a service has rejected.

use futures::FutureExt;
use token_cache_core::test_util::{self, Fetch};
use token_cache_core::{Clock, ErrorKind, Event, FetchState, TemporaryToken};

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
        harness.clock.advance(SECOND);
        harness.succeed("b", HOUR).await;
        assert_eq!(*get.await.unwrap().unwrap(), "b");
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
    assert!(harness.cache.status().fetch == FetchState::Waiting && harness.source.fetches() == 1);
    harness.cache.invalidate(&token);
    let get = harness.spawn_get();
    harness.succeed("b", HOUR).await;
    assert!(get.is_finished(), "no second fetch is needed");
    assert_eq!(*get.await.unwrap().unwrap(), "b");
    assert_eq!(harness.source.fetches(), 2);
}

/// <https://github.com/googleapis/google-api-java-client/issues/644>
#[test]
fn p16_rejections_of_a_repeated_token_are_paced() {
    runtime().block_on(async {
        let mut harness = comparing(true);
        harness.fetch("a", 12 * HOUR).await;
        for _ in 0..3600 {
            harness.clock.advance(SECOND);
            let token = harness.cache.get().await.unwrap();
            harness.cache.invalidate(&token);
            let get = harness.spawn_get();
            if let Some(fetch) = harness.source.try_next_fetch().await {
                fetch.succeed_for("a", 12 * HOUR);
            }
            assert_eq!(*get.await.unwrap().unwrap(), "a", "the issuer insists");
        }
        let fetches = harness.source.fetches();
        assert!((12..=30).contains(&fetches), "{fetches} in an hour");
    });
}

fn spawn_replace(harness: &Harness, token: &Arc<Token>) -> JoinHandle<Outcome> {
    let (cache, token) = (harness.cache.clone(), Arc::clone(token));
    tokio::spawn(async move { cache.replace(&token).await })
}

#[tokio::test]
async fn p15_replace_waits_while_others_keep_the_token() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(MINUTE);
    let token = harness.cache.get().await.unwrap();
    let rejecting: Vec<_> = (0..100).map(|_| spawn_replace(&harness, &token)).collect();
    let fetch = harness.source.next_fetch().await;
    assert_eq!(harness.get_now(), "a");
    fetch.succeed_for("b", HOUR);
    for caller in rejecting {
        assert_eq!(*caller.await.unwrap().unwrap(), "b");
    }
    assert_eq!(harness.get_now(), "b");
    assert_eq!(*spawn_replace(&harness, &token).await.unwrap().unwrap(), "b", "a late rejection");
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn p15_replace_works_for_a_token_without_expiry() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    harness.source.next_fetch().await.succeed(TemporaryToken::never_expires("a"));
    let token = get.await.unwrap().unwrap();
    let replace = spawn_replace(&harness, &token);
    harness.source.assert_no_fetch().await;
    harness.clock.advance(SECOND);
    harness.succeed("b", HOUR).await;
    assert_eq!(*replace.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p15_while_the_issuer_is_down_a_rejection_affects_its_caller_only() {
    let mut harness = with_token(HOUR).await;
    for _ in 0..600 {
        harness.clock.advance(SECOND);
        let token = harness.cache.get().await.unwrap();
        let replace = spawn_replace(&harness, &token);
        assert_eq!(harness.get_now(), "a", "a healthy service");
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.fail("the issuer is down");
        }
        assert!(replace.await.unwrap().is_err());
        assert_eq!(harness.get_now(), "a", "a healthy service");
    }
    let fetches = harness.source.fetches();
    assert!((5..=20).contains(&fetches), "{fetches} in ten minutes");
}

/// One endpoint answers 401 to everybody, once a second.
/// <https://github.com/googleapis/google-api-java-client/issues/644>
#[tokio::test]
async fn p15_one_rejecting_service_delays_no_other() {
    let mut harness = with_token(HOUR).await;
    for _ in 0..600 {
        harness.clock.advance(SECOND);
        let token = harness.cache.get().await.unwrap();
        let replace = spawn_replace(&harness, &token);
        let _ = harness.get_now();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            let _ = harness.get_now();
            fetch.succeed_for("another", HOUR);
        }
        let _ = replace.await.unwrap();
        let _ = harness.get_now();
    }
    let fetches = harness.source.fetches();
    assert!(fetches <= 12, "{fetches} in ten minutes");
}

/// A service whose clock is 2 s behind, and that has no leeway.
/// <https://github.com/keycloak/keycloak/issues/8966>
#[tokio::test]
async fn p15_a_service_with_a_slow_clock_accepts_most_tokens() {
    let mut issued_at = [Duration::ZERO; 1000];
    let mut harness = test_util::Harness::<usize>::new();
    harness.fetch(0, HOUR).await;
    let (mut accepted, mut newest) = (0, 0);
    for _ in 0..600 {
        harness.clock.advance(SECOND);
        let now = harness.clock.now().monotonic();
        let active = |issued_at: &[Duration], token: usize| now >= issued_at[token] + 2 * SECOND;
        let token = harness.cache.get().await.unwrap();
        if active(&issued_at, *token) {
            accepted += 1;
            continue;
        }
        let cache = harness.cache.clone();
        let replace = tokio::spawn(async move { cache.replace(&token).await });
        if let Some(fetch) = harness.source.try_next_fetch().await {
            newest += 1;
            issued_at[newest] = now;
            fetch.succeed_for(newest, HOUR);
        }
        if replace.await.unwrap().is_ok_and(|token| active(&issued_at, *token)) {
            accepted += 1;
        }
    }
    assert!(accepted >= 590, "{accepted} of 600");
}

/// Static keys, or an issuer that repeats its session.
#[tokio::test]
async fn p16_an_issuer_that_insists_is_believed() {
    let mut harness = comparing(true);
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(SECOND);
    let replace = spawn_replace(&harness, &token);
    harness.succeed("a", HOUR).await;
    assert_eq!(replace.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected);
    for _ in 0..20 {
        harness.clock.advance(SECOND);
        assert_eq!(harness.get_now(), "a", "every other service");
    }

    let token = harness.cache.get().await.unwrap();
    let replace = spawn_replace(&harness, &token);
    harness.succeed("corrected", HOUR).await;
    assert_eq!(*replace.await.unwrap().unwrap(), "corrected");
}

#[tokio::test]
async fn p15_the_same_token_in_another_arc_is_rejected() {
    for replace in [false, true] {
        let mut harness = comparing(true);
        let first = harness.fetch("a", HOUR).await;
        harness.clock.advance(SECOND);
        let refresh = spawn_refresh(&harness);
        harness.succeed("a", HOUR).await;
        assert!(!Arc::ptr_eq(&first, &refresh.await.unwrap().unwrap()));
        harness.clock.advance(SECOND);
        if replace {
            let replace = spawn_replace(&harness, &first);
            harness.succeed("b", HOUR).await;
            assert_eq!(*replace.await.unwrap().unwrap(), "b");
        } else {
            harness.cache.invalidate(&first);
            assert!(harness.cache.peek().is_none());
        }
    }
}

/// Callers who reject one token after the other do not starve one who does not.
#[tokio::test]
async fn p10_a_waiter_gets_the_token_of_its_fetch_although_it_is_rejected() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(MINUTE);
    let token = harness.cache.get().await.unwrap();
    harness.cache.invalidate(&token);
    let cache = harness.cache.clone();
    let mut late = Box::pin(cache.get());
    assert!((&mut late).now_or_never().is_none());
    harness.clock.advance(10 * SECOND);
    harness.succeed("b", HOUR).await;
    harness.cache.invalidate(&harness.cache.peek().unwrap());
    assert!(harness.cache.peek().is_none());
    assert_eq!(*late.await.unwrap(), "b");
}

#[tokio::test]
async fn p16_an_earlier_fetch_cannot_end_a_replacement() {
    let mut harness = comparing(true);
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    let _ = harness.get_now();
    let earlier = harness.source.next_fetch().await;
    let replace = spawn_replace(&harness, &token);
    settled().await;
    earlier.succeed_for("a", HOUR);
    settled().await;
    assert!(!replace.is_finished(), "the issuer may have answered before the rejection");
    harness.clock.advance(SECOND);
    harness.succeed("b", HOUR).await;
    assert_eq!(*replace.await.unwrap().unwrap(), "b");
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

#[tokio::test]
async fn p16_a_token_stored_again_is_no_replacement() {
    let mut harness = Harness::with(|builder| builder.token_eq(PartialEq::eq));
    let token = harness.fetch("a", HOUR).await;
    let replace = spawn_replace(&harness, &token);
    settled().await;
    harness.cache.store(TemporaryToken::expires_in("a", HOUR)).unwrap();
    assert_eq!(replace.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected);
    assert_eq!(harness.get_now(), "a", "for all others");
}

#[tokio::test]
async fn p16_a_token_removed_meanwhile_is_no_replacement() {
    let mut harness = Harness::with(|builder| builder.token_eq(PartialEq::eq));
    let token = harness.fetch("a", HOUR).await;
    harness.cache.invalidate(&token);
    let replace = spawn_replace(&harness, &token);
    settled().await;
    harness.clock.advance(SECOND);
    harness.succeed("a", HOUR).await;
    assert_eq!(replace.await.unwrap().unwrap_err().kind(), ErrorKind::Rejected, "the issuer insists on it");
}
