//! Promise 8, and `refresh` of promise 14: how often the cache fetches.

use token_cache_core::ErrorKind;

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
    // The lower and the upper end of the jitter: half of the backoff, and all of it.
    for sample in [0, 1] {
        let mut harness = Harness::with(|builder| builder.jitter_sample(move || f64::from(sample)));
        // Doubled each time, and at most 5 seconds while no token can be returned.
        for backoff in [2, 4, 5, 5, 5, 5] {
            let get = harness.spawn_get();
            harness.fail().await;
            get.await.unwrap().unwrap_err();
            let wait = harness.cache.status().next_attempt;
            assert_eq!(wait, backoff * SECOND * (sample + 1) / 2);
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
    assert!((SECOND..=5 * SECOND).contains(&wait), "{wait:?}");
    assert_eq!(harness.poll_get().unwrap().unwrap_err().kind(), ErrorKind::Source);
}

#[tokio::test]
async fn p08_an_invalidation_never_delays_the_next_attempt() {
    let mut harness = Harness::with(|builder| builder.min_refresh_interval(SECOND / 10));
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * SECOND);
    for _ in 0..5 {
        harness.clock.advance(harness.cache.status().next_attempt);
        let refresh = spawn_refresh(&harness);
        harness.fail().await;
        refresh.await.unwrap().unwrap_err();
    }
    // Half of the remaining time, which is less than the backoff without a token would be.
    let reported = harness.cache.status().next_attempt;
    harness.cache.invalidate(&token);
    assert_eq!(harness.cache.status().next_attempt, reported);
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
