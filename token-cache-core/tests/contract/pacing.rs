//! Promise 8, and `refresh` of promise 14: how often the cache fetches.

use token_cache_core::{Clock, ErrorKind, retry_after};

use super::*;

#[tokio::test]
async fn p08_fetches_keep_the_minimum_interval() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(SECOND - MS);
    assert_eq!(*spawn_refresh(&harness).await.unwrap().unwrap(), "a", "the result of the last fetch");
    harness.source.assert_no_fetch().await;
    harness.clock.advance(MS);
    let refresh = spawn_refresh(&harness);
    harness.succeed("b", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_the_interval_is_between_two_starts() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(10 * SECOND);
    fetch.succeed_for("a", HOUR);
    get.await.unwrap().unwrap();
    let refresh = spawn_refresh(&harness);
    harness.succeed("b", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_the_interval_applies_to_shorter_tokens() {
    let mut harness = with_token(SECOND / 5).await;
    harness.clock.advance(SECOND / 5);
    let get = harness.spawn_get();
    harness.source.assert_no_fetch().await;
    harness.clock.advance(SECOND * 4 / 5);
    harness.succeed("b", SECOND / 5).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_the_interval_applies_after_a_failure() {
    let mut harness = with_remaining(SECOND).await;
    let get = harness.spawn_get();
    harness.fail().await;
    get.await.unwrap().unwrap();
    assert_eq!(harness.cache.status().next_attempt, SECOND, "not half of the remaining time");
}

#[tokio::test]
async fn p08_a_cold_start_backs_off_after_failures() {
    // The lower and the upper end of the jitter: a tenth of the backoff, but not less than the interval, and all of it.
    for sample in [0, 1] {
        let mut harness = Harness::with(|builder| builder.jitter_sample(move || f64::from(sample)));
        // Doubled each time, and at most 5 seconds while no token can be returned.
        for backoff in [2, 4, 5, 5, 5, 5] {
            let get = harness.spawn_get();
            harness.fail().await;
            get.await.unwrap().unwrap_err();
            let wait = harness.cache.status().next_attempt;
            assert_eq!(wait, if sample == 0 { SECOND } else { backoff * SECOND });
            harness.clock.advance(wait - MS);
            assert!(harness.poll_get().unwrap().is_err());
            harness.source.assert_no_fetch().await;
            harness.clock.advance(MS);
        }
    }
}

/// <https://github.com/jperasmus/stale-while-revalidate-cache/issues/39>
#[test]
fn p08_the_backoff_grows_while_a_token_is_stored() {
    runtime().block_on(async {
        let mut harness = Harness::with(|builder| builder.expiry_buffer(6 * HOUR).min_ttl(Duration::ZERO));
        harness.fetch("a", 12 * HOUR).await;
        harness.clock.advance(6 * HOUR);
        let mut failures = 0;
        for _ in 0..HOUR.as_secs() {
            harness.clock.advance(SECOND);
            assert_eq!(harness.get_now(), "a");
            if let Some(fetch) = harness.source.try_next_fetch().await {
                fetch.fail("the issuer is down");
                failures += 1;
            }
        }
        // 1, 2, 4 ... 256 s, then 150 to 300 s at a time.
        assert!((18..=34).contains(&failures), "{failures} attempts in an hour");
    });
}

#[test]
fn p08_the_backoff_is_half_of_the_remaining_time() {
    runtime().block_on(async {
        let mut harness = with_remaining(4 * MINUTE).await;
        let end = harness.clock.after(4 * MINUTE);
        let mut attempts = Vec::new();
        while harness.clock.wall() + 4 * SECOND < end {
            let get = harness.spawn_get();
            if let Some(fetch) = harness.source.try_next_fetch().await {
                attempts.push(end.duration_since(harness.clock.wall()).unwrap());
                fetch.fail("the issuer is down");
                settled().await;
            }
            assert!(get.await.unwrap().is_ok());
            harness.clock.advance(100 * MS);
        }
        for pair in attempts.windows(2) {
            assert!(pair[1] + 200 * MS >= pair[0] / 2, "no attempt between {:?} and {:?} remaining", pair[0], pair[1]);
        }
        assert!(attempts.len() >= 6, "{attempts:?}");
    });
}

#[tokio::test]
async fn p08_an_invalidation_shortens_the_backoff() {
    let mut harness = Harness::with(|builder| builder.expiry_buffer(6 * HOUR));
    let token = harness.fetch("a", 12 * HOUR).await;
    harness.clock.advance(7 * HOUR);
    for _ in 0..8 {
        let _ = harness.get_now();
        harness.fail().await;
        harness.clock.advance(harness.cache.status().next_attempt);
    }
    let _ = harness.get_now();
    harness.fail().await;
    assert!(harness.cache.status().next_attempt > MINUTE);
    harness.cache.invalidate(&token);
    let wait = harness.cache.status().next_attempt;
    assert!(wait <= MINUTE, "{wait:?}");
    assert_eq!(harness.poll_get().unwrap().unwrap_err().kind(), ErrorKind::Source);
}

/// A laptop that sleeps while its issuer is down: ember-simple-auth-token/ember-simple-auth-token#300.
#[tokio::test]
async fn p08_time_asleep_counts_for_the_backoff() {
    let mut harness = Harness::with(|builder| builder.expiry_buffer(HOUR / 2));
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR / 2);
    for _ in 0..600 {
        harness.clock.advance(SECOND);
        assert_eq!(harness.get_now(), "a");
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.fail("the issuer is down");
            settled().await;
        }
    }
    harness.clock.suspend(8 * HOUR);
    assert_eq!(*harness.fetch("b", HOUR).await, "b");
}

/// As above, with only part of the backoff asleep.
#[tokio::test]
async fn p08_a_clock_set_forward_shortens_the_backoff() {
    for forward in [MINUTE, HOUR, 24 * HOUR] {
        let mut harness = Harness::with(|builder| builder.expiry_buffer(6 * HOUR));
        harness.fetch("a", 12 * HOUR).await;
        harness.clock.advance(7 * HOUR);
        while harness.cache.status().next_attempt < 30 * SECOND {
            harness.clock.advance(harness.cache.status().next_attempt);
            let _ = harness.get_now();
            harness.fail().await;
        }
        let before = harness.cache.status().next_attempt;
        harness.clock.suspend(forward);
        assert_eq!(harness.cache.status().next_attempt, before.saturating_sub(forward), "{forward:?}");
    }
}

#[tokio::test]
async fn p08_a_waiting_fetch_starts_when_time_asleep_has_passed() {
    let mut harness = Harness::with(|builder| builder.min_refresh_interval(HOUR));
    let token = harness.fetch("a", 12 * HOUR).await;
    harness.cache.invalidate(&token);
    let get = harness.spawn_get();
    harness.source.assert_no_fetch().await;
    harness.clock.suspend(HOUR);
    harness.clock.advance(5 * SECOND);
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_an_interval_of_zero_backs_off_after_failures() {
    let mut harness = Harness::with(|builder| builder.min_refresh_interval(Duration::ZERO));
    for _ in 0..100 {
        let get = harness.spawn_get();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.fail("the issuer is down");
        }
        assert!(get.await.unwrap().is_err());
    }
    assert_eq!(harness.source.fetches(), 1, "no time has passed");
}

/// The mean rate of a fleet's attempts when its issuer is back is a tenth of what it is with a fixed limit of 5 s.
#[test]
fn p08_after_a_long_outage_callers_spread_over_a_minute() {
    runtime().block_on(async {
        let mut harness = Harness::with(|builder| builder.jitter_sample(|| 1.0));
        while harness.clock.now().monotonic() < HOUR {
            let get = harness.spawn_get();
            harness.fail().await;
            assert!(get.await.unwrap().is_err());
            let outage = harness.clock.now().monotonic();
            let wait = harness.cache.status().next_attempt;
            assert!(wait <= (outage / 10).clamp(5 * SECOND, MINUTE), "{wait:?} after {outage:?}");
            harness.clock.advance(wait);
        }
        assert_eq!(harness.cache.status().next_attempt, Duration::ZERO);
        let get = harness.spawn_get();
        harness.fail().await;
        assert_eq!(get.await.unwrap().unwrap_err().retry_after(), Some(MINUTE));
    });
}

/// <https://github.com/camunda-community-hub/zeebe-client-node-js/issues/244>
#[test]
fn p13_a_permanent_error_is_retried_rarely() {
    for warm in [false, true] {
        runtime().block_on(async {
            let mut harness = Harness::with(|builder| if warm { builder.keep_warm(Duration::MAX) } else { builder });
            let mut attempts = 0;
            for _ in 0..3600 {
                if !warm {
                    drop(harness.spawn_get());
                }
                if let Some(fetch) = harness.source.try_next_fetch().await {
                    attempts += 1;
                    fetch.fail_permanently("the secret is wrong");
                    settled().await;
                }
                harness.clock.advance(SECOND);
            }
            assert!((12..=40).contains(&attempts), "{attempts} in an hour, kept warm: {warm}");
        });
    }
}

#[tokio::test]
async fn p13_refresh_does_not_wait_after_a_permanent_error() {
    let mut harness = Harness::new();
    for _ in 0..10 {
        let get = spawn_refresh(&harness);
        harness.source.next_fetch().await.fail_permanently("the secret is wrong");
        assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Permanent);
        let refresh = spawn_refresh(&harness);
        harness.source.assert_no_fetch().await;
        assert!(refresh.await.unwrap().is_err(), "within the interval");
        harness.clock.advance(SECOND);
    }
    let refresh = spawn_refresh(&harness);
    harness.succeed("a", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "a", "whoever has mended the cause does not wait");
}

/// <https://github.com/AzureAD/microsoft-authentication-library-for-java/issues/201>
#[tokio::test]
async fn p13_the_issuers_retry_time_is_kept() {
    for remaining in [None, Some(4 * MINUTE)] {
        let mut harness = Harness::new();
        if let Some(remaining) = remaining {
            harness.fetch("a", HOUR).await;
            harness.clock.advance(HOUR - remaining);
        }
        let get = harness.spawn_get();
        harness.source.next_fetch().await.fail(retry_after("slow down", 600 * SECOND));
        settled().await;
        if let Err(error) = get.await.unwrap() {
            assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Source, Some(600 * SECOND)));
        }
        if let Some(token) = harness.cache.peek() {
            harness.cache.invalidate(&token);
        }
        for second in 1..600 {
            harness.clock.advance(SECOND);
            let error = harness.poll_get().unwrap().unwrap_err();
            assert_eq!(error.retry_after(), Some((600 - second) * SECOND));
            harness.source.assert_no_fetch().await;
        }
        let refresh = spawn_refresh(&harness);
        harness.source.next_fetch().await.fail(retry_after("slow down", SECOND));
        assert!(refresh.await.unwrap().is_err(), "an explicit refresh is allowed");
        harness.clock.advance(2 * MINUTE);
        assert_eq!(*harness.fetch("b", HOUR).await, "b");
    }
}

#[tokio::test]
async fn p08_tokens_of_ten_seconds_are_fetched_once() {
    let mut harness = with_token(10 * SECOND).await;
    for _ in 0..600 {
        harness.clock.advance(100 * MS);
        assert!(harness.poll_get().unwrap().is_ok());
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.succeed_for("next", 10 * SECOND);
            settled().await;
        }
    }
    assert_eq!(harness.source.fetches(), 13, "each token is refreshed at half of its lifetime, for one minute");
}

#[tokio::test]
async fn p14_refresh_returns_the_last_error_during_the_backoff() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(MINUTE);
    let refresh = spawn_refresh(&harness);
    harness.fail().await;
    assert_eq!(refresh.await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    assert_eq!(spawn_refresh(&harness).await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    harness.source.assert_no_fetch().await;
    assert_eq!(harness.get_now(), "a");
}
