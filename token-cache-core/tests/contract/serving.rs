//! Promises 1 to 6: what is handed out.

use super::*;
use futures::FutureExt;
use token_cache_core::{ErrorKind, Freshness};

#[tokio::test]
async fn p01_a_fresh_token_is_handed_out_without_waiting() {
    let mut bench = Bench::holding(HOUR).await;
    assert_eq!(bench.at_once(), "a");
    bench.clock.advance(HOUR - 5 * MINUTE - MS);
    assert_eq!(bench.at_once(), "a");
    bench.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p01_near_expiry_the_old_token_is_handed_out_and_a_new_one_fetched_behind() {
    let mut bench = Bench::with_left(5 * MINUTE - MS).await;
    assert_eq!(bench.at_once(), "a");
    let fetch = bench.source.next_fetch().await;
    assert_eq!(bench.at_once(), "a", "while the refresh is under way");
    fetch.succeed(TemporaryToken::new("b", bench.clock.after(HOUR)));
    settled().await;
    assert_eq!(bench.at_once(), "b");
    assert_eq!(bench.source.fetches(), 2);
}

#[tokio::test]
async fn p01_near_expiry_no_caller_waits_for_a_backoff() {
    let mut bench = Bench::with_left(4 * MINUTE).await;
    assert_eq!(bench.at_once(), "a");
    bench.fail().await;
    assert_eq!(bench.at_once(), "a");
    bench.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p01_no_caller_waits_for_the_first_one_who_does() {
    let mut bench = Bench::with_left(HOUR / 2).await;
    let first = bench.get_valid_for(HOUR);
    let _hangs = bench.source.next_fetch().await;
    assert_eq!(bench.at_once(), "a");
    assert!(!first.is_finished());
}

#[tokio::test]
async fn p02_an_expired_token_is_not_handed_out() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(HOUR);
    let get = bench.get();
    settled().await;
    assert!(!get.is_finished());
    bench.answer("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p02_a_token_that_expires_while_a_caller_waits_is_not_handed_out() {
    let mut bench = Bench::with_left(20 * SECOND).await;
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(20 * SECOND); // the caller's patience is over too, and it wakes too late
    settled().await;
    assert!(!get.is_finished(), "the old one has expired, the new one is not here");
    fetch.succeed(TemporaryToken::new("b", bench.clock.after(HOUR)));
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p02_a_token_that_has_expired_before_a_late_waiter_wakes_is_fetched_again() {
    let mut bench = Bench::new();
    let cache = bench.cache.clone();
    let mut late = Box::pin(cache.get());
    assert!((&mut late).now_or_never().is_none());
    bench.answer("a", SECOND).await;
    assert_eq!(*bench.cache.peek().unwrap(), "a", "stored, and its waiter has not been polled since");
    bench.clock.advance(2 * SECOND);
    assert!((&mut late).now_or_never().is_none(), "handed out after its end");
    bench.answer("b", HOUR).await;
    assert_eq!(*late.await.unwrap(), "b");
}

#[tokio::test]
async fn p03_no_answer_of_the_source_takes_an_unexpired_token_away() {
    for left in [4 * MINUTE, 30 * SECOND, 10 * MS] {
        for bad in ["error", "permanent error", "panic", "already expired"] {
            let mut bench = Bench::with_left(left).await;
            let get = bench.get();
            let fetch = bench.source.next_fetch().await;
            match bad {
                "error" => fetch.fail("down"),
                "permanent error" => fetch.fail_permanently("no such role"),
                "panic" => fetch.panic(),
                _ => fetch.succeed(TemporaryToken::new("old", bench.clock.wall())),
            }
            assert_eq!(*get.await.unwrap().unwrap(), "a", "{bad} with {left:?} left");
            assert_eq!(bench.at_once(), "a", "{bad} with {left:?} left, next caller");
        }
    }
}

#[tokio::test]
async fn p03_a_source_that_never_answers_takes_an_unexpired_token_away_from_nobody() {
    let mut bench = Bench::with_left(4 * MINUTE).await;
    assert_eq!(bench.at_once(), "a");
    let mut fetch = bench.source.next_fetch().await;
    bench.clock.advance(30 * SECOND);
    fetch.aborted().await;
    settled().await;
    assert_eq!(bench.at_once(), "a");
    assert_eq!(bench.cache.status().last_error.unwrap().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_caller_with_a_short_token_waits_for_the_new_one() {
    let mut bench = Bench::with_left(50 * SECOND).await;
    assert_eq!(bench.cache.status().freshness, Freshness::TooShort);
    let get = bench.get();
    settled().await;
    assert!(!get.is_finished());
    bench.answer("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn a_caller_with_a_short_token_waits_a_tenth_of_what_is_left_at_the_most() {
    let mut bench = Bench::with_left(50 * SECOND).await;
    let get = bench.get();
    let _hangs = bench.source.next_fetch().await;
    bench.clock.advance(5 * SECOND - MS);
    settled().await;
    assert!(!get.is_finished());
    bench.clock.advance(MS);
    assert_eq!(*get.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn a_flight_is_waited_for_once_by_those_who_hold_a_short_token() {
    let mut bench = Bench::with_left(50 * SECOND).await;
    let first = bench.get();
    let _hangs = bench.source.next_fetch().await;
    bench.clock.advance(4 * SECOND);
    let second = bench.get();
    settled().await;
    assert!(!second.is_finished());
    bench.clock.advance(SECOND);
    assert_eq!(*first.await.unwrap().unwrap(), "a");
    assert_eq!(*second.await.unwrap().unwrap(), "a", "their patience ends together");
    assert_eq!(bench.at_once(), "a", "and who comes later does not wait at all");
}

#[tokio::test]
async fn a_flight_that_began_near_expiry_is_waited_for_once_the_token_is_too_short() {
    let mut bench = Bench::with_left(61 * SECOND).await;
    assert_eq!(bench.at_once(), "a");
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(11 * SECOND);
    let get = bench.get();
    settled().await;
    assert!(!get.is_finished());
    fetch.succeed(TemporaryToken::new("b", bench.clock.after(HOUR)));
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p04_every_caller_of_one_generation_gets_the_same_arc() {
    let mut bench = Bench::new();
    let waiting: Vec<_> = (0..10).map(|_| bench.get()).collect();
    bench.answer("a", HOUR).await;
    let first = bench.cache.get().await.unwrap();
    for get in waiting {
        assert!(Arc::ptr_eq(&first, &get.await.unwrap().unwrap()));
    }
    assert!(Arc::ptr_eq(&first, &bench.cache.peek().unwrap()));
}

#[tokio::test]
async fn p05_a_token_that_lasts_is_handed_out_at_once() {
    let mut bench = Bench::with_left(HOUR / 2).await;
    assert_eq!(*bench.get_valid_for(HOUR / 2).await.unwrap().unwrap(), "a");
    bench.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p05_for_one_who_needs_it_longer_a_new_token_is_fetched() {
    let mut bench = Bench::with_left(HOUR / 2).await;
    let get = bench.get_valid_for(HOUR / 2 + MS);
    bench.answer("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p05_a_source_that_cannot_give_one_is_named_in_the_error() {
    let mut bench = Bench::with_left(HOUR / 2).await;
    let get = bench.get_valid_for(2 * HOUR);
    bench.answer("b", HOUR).await;
    let error = get.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooShort);
    assert!(error.to_string().contains("7200s") && error.to_string().contains("3600"), "{error}");

    let again = bench.get_valid_for(2 * HOUR).await.unwrap().unwrap_err();
    assert_eq!(again.kind(), ErrorKind::TooShort, "known without asking again");
    bench.source.assert_no_fetch().await;
    assert_eq!(bench.at_once(), "b", "good enough for all others");
}

#[tokio::test]
async fn p05_within_the_pacing_a_source_that_can_give_one_is_waited_for() {
    let mut bench = Bench::holding(10 * SECOND).await;
    bench.clock.advance(SECOND / 2);
    let get = bench.get_valid_for(10 * SECOND);
    bench.source.assert_no_fetch().await;
    bench.clock.advance(SECOND / 2);
    bench.answer("b", 10 * SECOND).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p05_its_error_is_the_sources_when_that_fails() {
    let mut bench = Bench::with_left(HOUR / 2).await;
    let get = bench.get_valid_for(HOUR);
    bench.fail().await;
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    assert_eq!(bench.at_once(), "a");
}

#[tokio::test]
async fn p06_peek_and_status_never_fetch() {
    let mut bench = Bench::new();
    assert!(bench.cache.peek().is_none());
    assert_eq!(bench.cache.status().freshness, Freshness::Empty);
    bench.source.assert_no_fetch().await;

    bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR - MINUTE);
    assert_eq!(*bench.cache.peek().unwrap(), "a");
    bench.clock.advance(MINUTE);
    assert!(bench.cache.peek().is_none());
    assert_eq!(bench.cache.status().freshness, Freshness::Expired);
    bench.source.assert_no_fetch().await;
}
