//! Promises 19 to 21: options that are off by default.

use std::pin::pin;

use futures::FutureExt;
use token_cache_core::{ErrorKind, Event, Freshness};

use super::*;

fn with_initial(lifetime: Duration) -> Harness {
    Harness::with(|builder| builder.initial(TemporaryToken::expires_in("initial", lifetime)))
}

#[tokio::test]
async fn p19_an_initial_token_is_returned_without_a_fetch() {
    let mut harness = with_initial(HOUR);
    assert_eq!(harness.get_now(), "initial");
    assert_eq!(harness.cache.status().generation, 1);
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p19_an_initial_token_is_refreshed() {
    let mut harness = with_initial(HOUR);
    harness.clock.advance(HOUR - 4 * MINUTE);
    assert_eq!(harness.get_now(), "initial");
    harness.succeed("a", HOUR).await;
    assert_eq!(harness.get_now(), "a");
    assert_eq!(harness.cache.status().generation, 2);
}

#[tokio::test]
async fn p19_an_expired_initial_token_is_ignored() {
    let mut harness = with_initial(Duration::ZERO);
    assert!(harness.cache.peek().is_none());
    assert_eq!(*harness.fetch("a", HOUR).await, "a");
}

/// A cache whose token "a" has just expired, and whose source has just failed.
async fn expired_and_down(stale_if_error: Duration) -> Harness {
    expired_and_down_with(stale_if_error, 0.5).await
}

async fn expired_and_down_with(stale_if_error: Duration, jitter_sample: f64) -> Harness {
    let mut harness =
        Harness::with(|builder| builder.stale_if_error(stale_if_error).jitter_sample(move || jitter_sample));
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR);
    let get = harness.spawn_get();
    harness.fail().await;
    assert_eq!(get.await.unwrap().is_ok(), !stale_if_error.is_zero());
    harness
}

/// Calls `get`, and fails the fetch that this may start.
async fn get_while_down(harness: &mut Harness) -> Outcome {
    let get = harness.spawn_get();
    if let Some(fetch) = harness.source.try_next_fetch().await {
        fetch.fail("the issuer is down");
    }
    get.await.unwrap()
}

/// <https://www.rfc-editor.org/rfc/rfc5861#section-4>
#[tokio::test]
async fn p20_an_expired_token_is_served_while_allowed() {
    let mut harness = expired_and_down(10 * MINUTE).await;
    let end = harness.clock.after(10 * MINUTE);
    while harness.clock.wall() < end {
        assert!(harness.cache.status().serving_expired);
        assert_eq!(*get_while_down(&mut harness).await.unwrap(), "a");
        harness.clock.advance(SECOND);
    }
    assert!(!harness.cache.status().serving_expired);
    assert_eq!(get_while_down(&mut harness).await.unwrap_err().kind(), ErrorKind::Source);
}

#[tokio::test]
async fn p20_serving_an_expired_token_does_not_wait() {
    let harness = expired_and_down(10 * MINUTE).await;
    assert_eq!(harness.get_now(), "a");
    assert_eq!(harness.cache.status().freshness, Freshness::Expired);
    assert!(harness.cache.peek().is_none(), "peek returns unexpired tokens only");
}

#[tokio::test]
async fn p20_the_event_is_emitted_once_per_token() {
    let mut harness = expired_and_down(10 * MINUTE).await;
    for _ in 0..20 {
        harness.clock.advance(SECOND);
        get_while_down(&mut harness).await.unwrap();
    }
    let events = harness.log.take();
    let served = events.iter().filter(|event| matches!(event, Event::ServedExpired { generation: 1, .. })).count();
    assert_eq!(served, 1);
}

/// <https://github.com/hapijs/catbox/issues/97>
#[tokio::test]
async fn p20_a_hanging_source_delays_nobody() {
    for jitter_sample in [0.0, 0.5, 0.999, 1.0] {
        let mut harness = expired_and_down_with(HOUR / 2, jitter_sample).await;
        for _ in 0..1000 {
            harness.clock.advance(SECOND);
            assert_eq!(harness.get_now(), "a");
            let _hangs = harness.source.try_next_fetch().await;
        }
    }
}

/// A fetch that starts late in the time in which the source is known to be down ends after it.
#[tokio::test]
async fn p20_a_fetch_that_starts_late_delays_nobody() {
    for pause in 2..30 {
        let mut harness = expired_and_down_with(6 * HOUR, 1.0).await;
        for _ in 0..1200 / pause {
            harness.clock.advance(pause * SECOND);
            assert_eq!(harness.get_now(), "a", "a reader every {pause} s");
            let _hangs = harness.source.try_next_fetch().await;
        }
    }
}

/// <https://github.com/jperasmus/stale-while-revalidate-cache/issues/39>
#[test]
fn p20_the_backoff_is_long_while_an_expired_token_is_served() {
    runtime().block_on(async {
        let mut harness = expired_and_down(24 * HOUR).await;
        for _ in 0..12 * 360 {
            harness.clock.advance(10 * SECOND);
            assert_eq!(harness.get_now(), "a");
            if let Some(fetch) = harness.source.try_next_fetch().await {
                fetch.fail("the issuer is down");
                settled().await;
            }
        }
        let fetches = harness.source.fetches();
        assert!((144..=300).contains(&fetches), "{fetches} in 12 hours, with a backoff of 150 s to 300 s");
    });
}

#[tokio::test]
async fn p20_a_permanent_error_is_returned() {
    let mut harness = Harness::with(|builder| builder.stale_if_error(HOUR));
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR);
    let get = harness.spawn_get();
    harness.source.next_fetch().await.fail_permanently("no such role");
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Permanent);
    assert_eq!(harness.poll_get().unwrap().unwrap_err().kind(), ErrorKind::Permanent);
}

#[tokio::test]
async fn p20_an_old_failure_says_nothing_about_the_source() {
    let mut harness = Harness::with(|builder| builder.stale_if_error(12 * HOUR));
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    let _ = harness.get_now();
    harness.fail().await;
    harness.clock.advance(HOUR);
    let get = harness.spawn_get();
    let slow = harness.source.next_fetch().await;
    harness.clock.advance(20 * SECOND);
    settled().await;
    assert!(!get.is_finished(), "the source is only slow");
    slow.succeed_for("b", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p20_a_slow_source_is_not_down() {
    let mut harness = Harness::with(|builder| builder.stale_if_error(MINUTE));
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR);
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(20 * SECOND);
    settled().await;
    assert!(!get.is_finished(), "no fetch has failed");
    fetch.succeed_for("b", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p20_a_waiter_who_gets_an_expired_token_is_reported() {
    let mut harness = Harness::with(|builder| builder.stale_if_error(HOUR));
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - SECOND);
    let cache = harness.cache.clone();
    let mut get = pin!(cache.get());
    assert!(get.as_mut().now_or_never().is_none());
    harness.fail().await;
    harness.clock.advance(SECOND);
    assert_eq!(*get.now_or_never().unwrap().unwrap(), "a");
    let events = harness.log.take();
    assert!(events.iter().any(|event| matches!(event, Event::ServedExpired { generation: 1, .. })), "{events:?}");
}

#[tokio::test]
async fn p20_expired_tokens_are_refused_by_default() {
    let harness = expired_and_down(Duration::ZERO).await;
    assert!(harness.poll_get().unwrap().is_err());
}

#[tokio::test]
async fn p20_rejected_and_too_short_tokens_are_refused() {
    let harness = expired_and_down(10 * MINUTE).await;
    assert!(spawn_get_valid_for(&harness, SECOND).await.unwrap().is_err());
    let token = harness.cache.get().await.unwrap();
    harness.cache.invalidate(&token);
    assert!(harness.poll_get().unwrap().is_err());
}

fn kept_warm(idle: Duration) -> Harness {
    Harness::with(|builder| builder.keep_warm(idle))
}

/// The number of tasks in the current runtime. `block_on` is none.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn p21_keep_warm_fetches_without_reads() {
    let mut harness = kept_warm(24 * HOUR);
    harness.succeed("a", HOUR).await;
    assert_eq!(harness.get_now(), "a", "the first caller does not wait");
    harness.clock.advance(HOUR - 5 * MINUTE - MS);
    harness.source.assert_no_fetch().await;
    harness.clock.advance(MS);
    harness.succeed("b", HOUR).await;
    assert_eq!(*harness.cache.peek().unwrap(), "b");
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn p21_keep_warm_is_one_task() {
    let mut harness = kept_warm(24 * HOUR);
    settled().await;
    assert_eq!(tasks(), 2, "and the fetch that it has started");
    // Each of these callers makes a decision, and so checks whether the task runs.
    let callers: Vec<_> = (0..100).map(|_| harness.spawn_get()).collect();
    harness.succeed("a", HOUR).await;
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(tasks(), 1);
    for _ in 0..10 {
        harness.clock.advance(HOUR);
        let callers: Vec<_> = (0..100).map(|_| harness.spawn_get()).collect();
        harness.succeed("b", HOUR).await;
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        settled().await;
        assert_eq!(tasks(), 1);
    }
    assert_eq!(harness.source.fetches(), 11);
}

#[test]
fn p21_keep_warm_stops_when_idle() {
    runtime().block_on(async {
        let mut harness = kept_warm(3 * HOUR);
        let mut fetches = 0;
        for _ in 0..24 * 60 {
            if let Some(fetch) = harness.source.try_next_fetch().await {
                fetches += 1;
                fetch.succeed_for("a", HOUR);
                settled().await;
            }
            harness.clock.advance(MINUTE);
        }
        assert!((3..=5).contains(&fetches), "{fetches} fetches in a day without a read");
        assert_eq!(tasks(), 0);

        harness.fetch("b", HOUR).await;
        harness.clock.advance(HOUR - 5 * MINUTE);
        harness.succeed("c", HOUR).await;
        assert_eq!(harness.get_now(), "c", "started again by the next caller");
    });
}

#[test]
fn p21_hits_count_as_reads() {
    runtime().block_on(async {
        let mut harness = kept_warm(2 * HOUR);
        harness.succeed("a", HOUR).await;
        for _ in 0..24 * 60 {
            harness.clock.advance(MINUTE);
            let _ = harness.get_now();
            if let Some(fetch) = harness.source.try_next_fetch().await {
                fetch.succeed_for("a", HOUR);
                settled().await;
            }
        }
        let fetches = harness.source.fetches();
        assert!((25..=27).contains(&fetches), "{fetches} fetches in a day, due every 55 minutes");
    });
}

#[test]
fn p21_keep_warm_lasts_from_the_last_read() {
    runtime().block_on(async {
        let mut harness = kept_warm(HOUR);
        harness.succeed("a", HOUR + 5 * MINUTE).await;
        // A hit, which is not recorded.
        harness.clock.advance(29 * MINUTE);
        let _ = harness.get_now();
        harness.clock.advance(HOUR - 29 * MINUTE);
        harness.succeed("b", HOUR).await;
    });
}

#[test]
fn p21_a_waiting_subscriber_starts_keep_warm_again() {
    runtime().block_on(async {
        let mut harness = kept_warm(HOUR);
        harness.succeed("a", 6 * HOUR).await;
        harness.clock.advance(2 * HOUR);
        settled().await;
        assert_eq!(tasks(), 0);

        let mut updates = harness.cache.subscribe();
        let next = tokio::spawn(async move { updates.changed().await });
        harness.clock.advance(4 * HOUR - 5 * MINUTE);
        harness.succeed("b", HOUR).await;
        assert_eq!(*next.await.unwrap().unwrap(), "b");
    });
}

#[test]
fn p21_reads_of_a_fresh_token_count() {
    runtime().block_on(async {
        let mut harness = kept_warm(2 * HOUR);
        harness.succeed("a", HOUR).await;
        for fetches in 1..24 {
            for minute in 0..55 {
                assert_eq!(harness.source.fetches(), fetches, "minute {minute}");
                if minute < 40 {
                    let _ = harness.get_now();
                }
                harness.clock.advance(MINUTE);
                settled().await;
            }
            // No read for 15 minutes.
            harness.succeed("a", HOUR).await;
        }
    });
}

#[tokio::test]
async fn p21_keep_warm_is_paced_after_failures() {
    let mut harness = kept_warm(24 * HOUR);
    let mut failures = 0;
    for _ in 0..100 {
        if let Some(fetch) = harness.source.try_next_fetch().await {
            failures += 1;
            fetch.fail("the issuer is down");
            settled().await;
        }
        harness.clock.advance(SECOND);
    }
    assert!((20..=50).contains(&failures), "{failures} attempts in 100 seconds, with a backoff of at most 5 seconds");
}

#[tokio::test]
async fn p21_keep_warm_ends_with_the_last_handle() {
    let mut harness = kept_warm(Duration::MAX);
    harness.succeed("a", HOUR).await;
    drop(harness.cache);
    settled().await;
    assert_eq!(tasks(), 0);
}
