//! Promises 7, 9, 10 and 11: one fetch, shared.

use super::*;
use token_cache_core::{ErrorKind, Event, FetchReason};

#[tokio::test]
async fn p07_every_reason_to_fetch_shares_one_flight() {
    let mut bench = Bench::with(|builder| builder.token_eq(PartialEq::eq));
    let token = bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR - 4 * MINUTE);
    assert_eq!(bench.at_once(), "a"); // near expiry
    let fetch = bench.source.next_fetch().await;
    let refresh = bench.refresh();
    bench.clock.advance(2 * MINUTE); // within the fetch's time? no: it times out below
    settled().await;
    drop(fetch);
    assert!(refresh.await.unwrap().is_err());

    bench.clock.advance(MINUTE);
    let refresh = bench.refresh();
    let fetch = bench.source.next_fetch().await;
    let short = bench.get();
    bench.cache.invalidate(&token);
    let rejected = bench.get();
    let longer = bench.get_valid_for(HOUR / 2);
    bench.source.assert_no_fetch().await;
    fetch.succeed(TemporaryToken::new("b", bench.clock.after(HOUR)));
    for caller in [refresh, short, rejected, longer] {
        assert_eq!(*caller.await.unwrap().unwrap(), "b");
    }
    assert_eq!(bench.source.fetches(), 3);
}

#[tokio::test]
async fn p07_a_hundred_callers_of_an_empty_cache_cost_one_fetch() {
    let mut bench = Bench::new();
    let callers: Vec<_> = (0..100).map(|_| bench.get()).collect();
    bench.answer("a", HOUR).await;
    for caller in callers {
        assert_eq!(*caller.await.unwrap().unwrap(), "a");
    }
    assert_eq!(bench.source.fetches(), 1);
}

#[tokio::test]
async fn p07_the_log_says_why_each_fetch_began() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(HOUR - 4 * MINUTE);
    bench.at_once();
    bench.answer("b", HOUR).await;
    bench.clock.advance(HOUR - 30 * SECOND);
    let get = bench.get();
    bench.answer("c", HOUR).await;
    get.await.unwrap().unwrap();
    bench.clock.advance(HOUR);
    let d = bench.fetch("d", HOUR).await;
    bench.clock.advance(SECOND);
    bench.cache.invalidate(&d);
    bench.fetch("e", HOUR).await;
    bench.clock.advance(SECOND);
    let refresh = bench.refresh();
    bench.answer("f", HOUR).await;
    refresh.await.unwrap().unwrap();

    let reasons: Vec<_> = bench
        .log
        .take()
        .iter()
        .filter_map(|event| match event {
            Event::FetchStarted { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    use FetchReason::*;
    assert_eq!(reasons, [Empty, NearExpiry, TooShort, Expired, Invalidated, Requested]);
}

#[tokio::test]
async fn p09_the_caller_who_began_a_fetch_may_go() {
    let mut bench = Bench::new();
    let first = bench.get();
    let fetch = bench.source.next_fetch().await;
    let others: Vec<_> = (0..10).map(|_| bench.get()).collect();
    settled().await;
    first.abort();
    settled().await;
    fetch.succeed(TemporaryToken::new("a", bench.clock.after(HOUR)));
    for other in others {
        assert_eq!(*other.await.unwrap().unwrap(), "a");
    }
    assert_eq!(bench.source.fetches(), 1);
}

#[tokio::test]
async fn p09_all_callers_may_go_and_the_fetch_goes_on() {
    let mut bench = Bench::new();
    let callers: Vec<_> = (0..10).map(|_| bench.get()).collect();
    let fetch = bench.source.next_fetch().await;
    for caller in &callers {
        caller.abort();
    }
    settled().await;
    fetch.succeed(TemporaryToken::new("a", bench.clock.after(HOUR)));
    settled().await;
    assert_eq!(bench.at_once(), "a");
}

#[tokio::test]
async fn p09_a_waiters_own_timeout_is_its_own() {
    let mut bench = Bench::new();
    let patient = bench.get();
    let fetch = bench.source.next_fetch().await;
    let hasty = tokio::time::timeout(Duration::ZERO, bench.cache.get()).await;
    assert!(hasty.is_err());
    fetch.succeed(TemporaryToken::new("a", bench.clock.after(HOUR)));
    assert_eq!(*patient.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn p09_the_fetch_timeout_counts_from_the_fetchs_start_and_not_from_a_callers() {
    let mut bench = Bench::new();
    let first = bench.get();
    let _hangs = bench.source.next_fetch().await;
    bench.clock.advance(29 * SECOND);
    let late = bench.get();
    settled().await;
    bench.clock.advance(SECOND);
    for caller in [first, late] {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    }
    assert_eq!(bench.source.fetches(), 1);
}

#[tokio::test]
async fn p10_a_hundred_callers_on_a_dead_source_share_one_fetch_and_its_error() {
    let mut bench = Bench::new();
    let callers: Vec<_> = (0..100).map(|_| bench.get()).collect();
    bench.fail().await;
    for caller in callers {
        // No time has gone by: nobody has waited for anything but the one fetch.
        assert!(caller.is_finished());
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the issuer is down");
    }
    assert_eq!(bench.source.fetches(), 1);
}

#[tokio::test]
async fn p10_who_comes_within_the_backoff_gets_the_last_error_at_once_and_when_it_will_be_retried() {
    let mut bench = Bench::new();
    let first = bench.get();
    bench.fail().await;
    let promised = first.await.unwrap().unwrap_err().retry_after().unwrap();
    assert!((SECOND..=2 * SECOND).contains(&promised), "{promised:?}");

    bench.clock.advance(SECOND / 2);
    let error = bench.get_at_once().unwrap().unwrap_err();
    assert_eq!(error.retry_after(), Some(promised - SECOND / 2));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the issuer is down");
    bench.source.assert_no_fetch().await;

    bench.clock.advance(promised - SECOND / 2);
    assert_eq!(*bench.fetch("a", HOUR).await, "a");
}

#[tokio::test]
async fn p11_an_answer_that_is_already_expired_is_a_failed_fetch() {
    let mut bench = Bench::new();
    let get = bench.get();
    bench.answer("dead", Duration::ZERO).await;
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::AlreadyExpired);
    assert_eq!(bench.cache.status().failures, 1);
    assert!(bench.get_at_once().unwrap().is_err(), "and paced like one");
    bench.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p11_an_answer_that_expires_on_its_way_is_a_failed_fetch() {
    let mut bench = Bench::new();
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    let token = TemporaryToken::expires_in("dead", 5 * SECOND);
    bench.clock.advance(5 * SECOND);
    fetch.succeed(token);
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::AlreadyExpired);
}

#[tokio::test]
async fn p11_the_same_token_again_is_a_success_and_does_not_become_a_loop() {
    // As metadata servers do: the same token until shortly before its end.
    let mut bench = Bench::holding(HOUR).await;
    let end = bench.clock.after(HOUR);
    let mut asked = 0;
    while bench.clock.wall() + SECOND < end {
        bench.clock.advance(SECOND);
        let get = bench.get();
        settled().await;
        if bench.source.fetches() > asked + 1 {
            bench.source.next_fetch().await.succeed(TemporaryToken::new("a", end));
            asked += 1;
        }
        assert_eq!(*get.await.unwrap().unwrap(), "a");
    }
    assert_eq!(bench.cache.status().failures, 0);
    assert!((1..=12).contains(&asked), "asked {asked} times in the last five minutes");
}

#[tokio::test]
async fn p12_a_source_that_panics_gives_its_waiters_an_error_and_frees_the_slot() {
    let mut bench = Bench::new();
    let callers: Vec<_> = (0..10).map(|_| bench.get()).collect();
    bench.source.next_fetch().await.panic();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Panicked);
    }
    bench.clock.advance(2 * SECOND);
    assert_eq!(*bench.fetch("a", HOUR).await, "a");
}

#[tokio::test]
async fn p13_a_permanent_error_is_told_apart_and_never_kills_the_cache() {
    let mut bench = Bench::new();
    let get = bench.get();
    bench.source.next_fetch().await.fail_permanently("no such role");
    let error = get.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no such role");
    bench.clock.advance(2 * SECOND);
    assert_eq!(*bench.fetch("a", HOUR).await, "a", "somebody has made the role");
}

#[tokio::test]
async fn p10_refresh_gives_what_its_fetch_has_brought_and_begins_no_other() {
    // A slow source of short tokens: what it has brought is too short at once, and by then a fetch is due again.
    let mut bench = Bench::new();
    let refresh = bench.refresh();
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(10 * SECOND);
    fetch.succeed(TemporaryToken::expires_in("a", 12 * SECOND));
    bench.source.assert_no_fetch().await;
    assert!(refresh.is_finished());
    assert_eq!(*refresh.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn p09_the_timeout_of_a_fetch_that_had_to_wait_for_its_time_counts_from_its_start() {
    let mut bench = Bench::holding(HOUR).await;
    let token = bench.cache.get().await.unwrap();
    bench.cache.invalidate(&token);
    let get = bench.get();
    settled().await;
    bench.clock.advance(SECOND);
    let _hangs = bench.source.next_fetch().await;
    bench.clock.advance(30 * SECOND - MS);
    settled().await;
    assert!(!get.is_finished());
    bench.clock.advance(MS);
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn p11_a_shorter_lived_answer_is_the_issuers_last_word() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(SECOND);
    let refresh = bench.refresh();
    bench.answer("b", MINUTE).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "b");
    assert_eq!(bench.at_once(), "b");
}
