//! Promises 1 to 6: which token a caller gets.

use futures::FutureExt;
use token_cache_core::{ErrorKind, Freshness};

use super::*;

#[tokio::test]
async fn p01_a_fresh_token_is_returned_without_waiting() {
    let mut harness = with_token(HOUR).await;
    assert_eq!(harness.get_now(), "a");
    harness.clock.advance(HOUR - 5 * MINUTE - MS);
    assert_eq!(harness.get_now(), "a");
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p01_near_expiry_refreshes_in_the_background() {
    let mut harness = with_remaining(5 * MINUTE - MS).await;
    assert_eq!(harness.get_now(), "a");
    let fetch = harness.source.next_fetch().await;
    assert_eq!(harness.get_now(), "a", "during the refresh");
    fetch.succeed_for("b", HOUR);
    settled().await;
    assert_eq!(harness.get_now(), "b");
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn p01_near_expiry_no_caller_waits_for_the_backoff() {
    let mut harness = with_remaining(4 * MINUTE).await;
    assert_eq!(harness.get_now(), "a");
    harness.fail().await;
    assert_eq!(harness.get_now(), "a");
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p01_a_waiting_caller_delays_no_other() {
    let mut harness = with_remaining(HOUR / 2).await;
    let first = spawn_get_valid_for(&harness, HOUR);
    let _hangs = harness.source.next_fetch().await;
    assert_eq!(harness.get_now(), "a");
    assert!(!first.is_finished());
}

#[tokio::test]
async fn p02_an_expired_token_is_never_returned() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(HOUR);
    let get = harness.spawn_get();
    settled().await;
    assert!(!get.is_finished());
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p02_no_waiter_gets_an_expired_token() {
    let mut harness = with_remaining(20 * SECOND).await;
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    // The soft deadline of the caller has passed too.
    harness.clock.advance(20 * SECOND);
    settled().await;
    assert!(!get.is_finished(), "the old token has expired, and the new one is still being fetched");
    fetch.succeed_for("b", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p02_a_waiter_that_wakes_late_fetches_again() {
    let mut harness = Harness::new();
    let cache = harness.cache.clone();
    let mut late = Box::pin(cache.get());
    assert!((&mut late).now_or_never().is_none());
    harness.succeed("a", SECOND).await;
    assert_eq!(*harness.cache.peek().unwrap(), "a", "stored, and the waiter was not polled since");
    harness.clock.advance(2 * SECOND);
    assert!((&mut late).now_or_never().is_none(), "returned an expired token");
    harness.succeed("b", HOUR).await;
    assert_eq!(*late.await.unwrap(), "b");
}

#[tokio::test]
async fn p03_a_bad_answer_never_evicts_the_token() {
    for remaining in [4 * MINUTE, 30 * SECOND, 10 * MS] {
        for answer in ["error", "permanent error", "panic", "already expired"] {
            let mut harness = with_remaining(remaining).await;
            let get = harness.spawn_get();
            let fetch = harness.source.next_fetch().await;
            match answer {
                "error" => fetch.fail("down"),
                "permanent error" => fetch.fail_permanently("no such role"),
                "panic" => fetch.panic(),
                _ => fetch.succeed(TemporaryToken::new("old", harness.clock.wall())),
            }
            assert_eq!(*get.await.unwrap().unwrap(), "a", "{answer} with {remaining:?} remaining");
            assert_eq!(harness.get_now(), "a", "{answer} with {remaining:?} remaining, next caller");
        }
    }
}

#[tokio::test]
async fn p03_a_hanging_source_never_evicts_the_token() {
    let mut harness = with_remaining(4 * MINUTE).await;
    assert_eq!(harness.get_now(), "a");
    let mut fetch = harness.source.next_fetch().await;
    harness.clock.advance(30 * SECOND);
    fetch.aborted().await;
    settled().await;
    assert_eq!(harness.get_now(), "a");
    assert_eq!(harness.cache.status().last_error.unwrap().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn too_short_waits_for_the_new_token() {
    let mut harness = with_remaining(50 * SECOND).await;
    assert_eq!(harness.cache.status().freshness, Freshness::TooShort);
    let get = harness.spawn_get();
    settled().await;
    assert!(!get.is_finished());
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

/// <https://github.com/hapijs/catbox/issues/97>
#[tokio::test]
async fn too_short_waits_at_most_10_percent() {
    let mut harness = with_remaining(50 * SECOND).await;
    let get = harness.spawn_get();
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(5 * SECOND - MS);
    settled().await;
    assert!(!get.is_finished());
    harness.clock.advance(MS);
    assert_eq!(*get.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn the_first_waiter_sets_the_soft_deadline() {
    let mut harness = with_remaining(50 * SECOND).await;
    let first = harness.spawn_get();
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(4 * SECOND);
    let second = harness.spawn_get();
    settled().await;
    assert!(!second.is_finished());
    harness.clock.advance(SECOND);
    assert_eq!(*first.await.unwrap().unwrap(), "a");
    assert_eq!(*second.await.unwrap().unwrap(), "a", "both waits end together");
    assert_eq!(harness.get_now(), "a", "later callers do not wait");
}

#[tokio::test]
async fn too_short_joins_a_background_refresh() {
    let mut harness = with_remaining(61 * SECOND).await;
    assert_eq!(harness.get_now(), "a");
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(11 * SECOND);
    let get = harness.spawn_get();
    settled().await;
    assert!(!get.is_finished());
    fetch.succeed_for("b", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p04_all_callers_get_the_same_arc() {
    let mut harness = Harness::new();
    let waiting: Vec<_> = (0..10).map(|_| harness.spawn_get()).collect();
    harness.succeed("a", HOUR).await;
    let first = harness.cache.get().await.unwrap();
    for get in waiting {
        assert!(Arc::ptr_eq(&first, &get.await.unwrap().unwrap()));
    }
    assert!(Arc::ptr_eq(&first, &harness.cache.peek().unwrap()));
}

#[tokio::test]
async fn p05_a_long_enough_token_is_returned() {
    let mut harness = with_remaining(HOUR / 2).await;
    let get = harness.cache.get_valid_for(HOUR / 2).now_or_never();
    assert_eq!(*get.unwrap().unwrap(), "a");
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p05_a_token_that_is_too_short_is_replaced() {
    let mut harness = with_remaining(HOUR / 2).await;
    let get = spawn_get_valid_for(&harness, HOUR / 2 + MS);
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p05_the_error_names_both_durations() {
    let mut harness = with_token(HOUR).await;
    let error = spawn_get_valid_for(&harness, 2 * HOUR).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooShort);
    assert!(error.to_string().contains("7200s") && error.to_string().contains("3600"), "{error}");
    harness.source.assert_no_fetch().await;
    assert_eq!(harness.get_now(), "a", "other callers can use it");
}

#[tokio::test]
async fn p05_a_source_of_short_tokens_is_asked_once() {
    let mut harness = Harness::with(|builder| builder.initial(TemporaryToken::expires_in("vended", HOUR)));
    for second in 0..3000 {
        let get = spawn_get_valid_for(&harness, 2 * HOUR);
        if second == 0 {
            harness.succeed("short", HOUR / 2).await;
        }
        assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::TooShort);
        assert_eq!(harness.get_now(), "vended", "a shorter-lived answer replaces nothing");
        harness.clock.advance(SECOND);
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p05_a_token_that_is_long_enough_on_arrival_is_returned() {
    let mut harness = with_remaining(40 * SECOND).await;
    assert_eq!(*harness.cache.get_valid_for(40 * SECOND).now_or_never().unwrap().unwrap(), "a");
    let _hangs = harness.source.next_fetch().await;

    let mut harness = with_remaining(40 * SECOND).await;
    let get = spawn_get_valid_for(&harness, 39 * SECOND);
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(100 * MS);
    assert_eq!(*get.await.unwrap().unwrap(), "a", "after 10 % of the second for which it could be returned");

    let mut harness = with_remaining(40 * SECOND).await;
    let get = spawn_get_valid_for(&harness, 30 * SECOND);
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(20 * SECOND);
    assert_eq!(*get.await.unwrap().unwrap(), "a", "although it is polled late");
}

/// The token expires while a caller waits for a better one.
#[tokio::test]
async fn p10_a_caller_with_a_usable_token_is_not_refused() {
    for succeeds in [true, false] {
        let mut harness = with_remaining(40 * SECOND).await;
        let get = harness.spawn_get();
        let fetch = harness.source.next_fetch().await;
        harness.clock.suspend(MINUTE);
        settled().await;
        assert!(!get.is_finished());
        if succeeds {
            fetch.succeed_for("b", HOUR)
        } else {
            fetch.fail("the issuer is down")
        }
        match get.await.unwrap() {
            Ok(token) => assert!(succeeds && *token == "b"),
            Err(error) => assert!(!succeeds && error.kind() == ErrorKind::Source),
        }
        assert_eq!(harness.source.fetches(), 2);
    }
}

/// Who waits with a token that is long enough, does not get one that is not.
#[tokio::test]
async fn p05_a_new_token_lasts_as_long_as_was_required_on_arrival() {
    let mut harness = with_remaining(40 * SECOND).await;
    let get = spawn_get_valid_for(&harness, 20 * SECOND);
    let fetch = harness.source.next_fetch().await;
    fetch.succeed_for("b", 5 * SECOND);
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::TooShort);

    let mut harness = with_remaining(40 * SECOND).await;
    let get = spawn_get_valid_for(&harness, 20 * SECOND);
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(SECOND);
    // From the start of the fetch, so it lasts for the 19 s that are left of what was required.
    fetch.succeed_for("b", 20 * SECOND);
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p05_waits_for_the_pacing_where_a_fetch_helps() {
    let mut harness = with_token(10 * SECOND).await;
    harness.clock.advance(SECOND / 2);
    let get = spawn_get_valid_for(&harness, 10 * SECOND);
    harness.source.assert_no_fetch().await;
    harness.clock.advance(SECOND / 2);
    harness.succeed("b", 10 * SECOND).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p05_a_failed_fetch_is_reported() {
    let mut harness = with_remaining(HOUR / 2).await;
    let get = spawn_get_valid_for(&harness, HOUR);
    harness.fail().await;
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    assert_eq!(harness.get_now(), "a");
}

#[tokio::test]
async fn p06_peek_and_status_never_fetch() {
    let mut harness = Harness::new();
    assert!(harness.cache.peek().is_none());
    assert_eq!(harness.cache.status().freshness, Freshness::Empty);
    harness.source.assert_no_fetch().await;

    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - MINUTE);
    assert_eq!(*harness.cache.peek().unwrap(), "a");
    harness.clock.advance(MINUTE);
    assert!(harness.cache.peek().is_none());
    assert_eq!(harness.cache.status().freshness, Freshness::Expired);
    harness.source.assert_no_fetch().await;
}
