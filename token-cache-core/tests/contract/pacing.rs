//! Promise 8, and `refresh` of promise 14: how often the source is asked.

use super::*;
use token_cache_core::ErrorKind;

#[tokio::test]
async fn p08_after_a_success_the_next_fetch_keeps_its_distance() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(SECOND - MS);
    assert_eq!(*bench.refresh().await.unwrap().unwrap(), "a", "the result of the last attempt");
    bench.source.assert_no_fetch().await;
    bench.clock.advance(MS);
    let refresh = bench.refresh();
    bench.answer("b", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_the_distance_is_between_the_starts_of_two_fetches() {
    let mut bench = Bench::new();
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(10 * SECOND);
    fetch.succeed(TemporaryToken::new("a", bench.clock.after(HOUR)));
    get.await.unwrap().unwrap();
    let refresh = bench.refresh();
    bench.answer("b", HOUR).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_tokens_shorter_than_the_interval_are_fetched_no_faster() {
    let mut bench = Bench::holding(SECOND / 5).await;
    bench.clock.advance(SECOND / 5);
    let get = bench.get();
    bench.source.assert_no_fetch().await;
    bench.clock.advance(SECOND * 4 / 5);
    bench.answer("b", SECOND / 5).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p08_in_a_cold_start_a_failing_source_is_asked_at_growing_distances() {
    let mut bench = Bench::new();
    let mut distances = Vec::new();
    let mut last = None;
    while distances.len() < 6 {
        let get = bench.get();
        settled().await;
        if get.is_finished() {
            get.await.unwrap().unwrap_err();
            bench.clock.advance(10 * MS);
            continue;
        }
        bench.fail().await;
        let now = bench.clock.wall();
        if let Some(last) = last.replace(now) {
            distances.push(now.duration_since(last).unwrap());
        }
    }
    // Doubling, spread over the upper half of each, and no more than five seconds while nothing can be handed out.
    for (distance, longest) in distances.iter().zip([2, 4, 5, 5, 5, 5]) {
        let longest = longest * SECOND;
        assert!((longest / 2..=longest + 10 * MS).contains(distance), "{distances:?}");
    }
}

#[tokio::test]
async fn p08_with_a_good_token_at_hand_a_failing_source_is_asked_less_and_less() {
    let mut bench = Bench::with(|builder| builder.expiry_buffer(6 * HOUR).min_ttl(Duration::ZERO));
    bench.fetch("a", 12 * HOUR).await;
    bench.clock.advance(6 * HOUR);
    let mut failed = 0;
    for _ in 0..HOUR.as_secs() {
        bench.clock.advance(SECOND);
        assert_eq!(bench.at_once(), "a");
        settled().await;
        if bench.source.fetches() > failed + 1 {
            bench.fail().await;
            failed += 1;
        }
    }
    // 1, 2, 4 ... 256 s, then 150 to 300 s at a time.
    assert!((18..=34).contains(&failed), "{failed} attempts in an hour");
}

#[tokio::test]
async fn p08_the_backoff_never_sleeps_past_half_of_what_the_token_has_left() {
    let mut bench = Bench::with_left(4 * MINUTE).await;
    let end = bench.clock.after(4 * MINUTE);
    let mut attempts = Vec::new();
    while bench.clock.wall() + 4 * SECOND < end {
        let get = bench.get();
        settled().await;
        if bench.source.fetches() > attempts.len() + 1 {
            attempts.push(end.duration_since(bench.clock.wall()).unwrap());
            bench.fail().await;
        }
        assert!(get.await.unwrap().is_ok());
        bench.clock.advance(100 * MS);
    }
    for pair in attempts.windows(2) {
        assert!(pair[1] + 200 * MS >= pair[0] / 2, "slept from {:?} to {:?} left", pair[0], pair[1]);
    }
    assert!(attempts.len() >= 6, "{attempts:?}");
}

#[tokio::test]
async fn p08_a_token_taken_away_shortens_the_backoff_and_does_not_lift_it() {
    let mut bench = Bench::with(|builder| builder.expiry_buffer(6 * HOUR));
    let token = bench.fetch("a", 12 * HOUR).await;
    bench.clock.advance(7 * HOUR);
    for _ in 0..8 {
        bench.at_once();
        bench.fail().await;
        bench.clock.advance(bench.cache.status().next_attempt);
    }
    bench.at_once();
    bench.fail().await;
    assert!(bench.cache.status().next_attempt > MINUTE);
    bench.cache.invalidate(&token);
    let wait = bench.cache.status().next_attempt;
    assert!((SECOND..=5 * SECOND).contains(&wait), "{wait:?}");
    assert_eq!(bench.get_at_once().unwrap().unwrap_err().kind(), ErrorKind::Source);
}

#[tokio::test]
async fn p14_within_the_backoff_refresh_gives_the_last_error() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(MINUTE);
    let refresh = bench.refresh();
    bench.fail().await;
    assert_eq!(refresh.await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    assert_eq!(bench.refresh().await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    bench.source.assert_no_fetch().await;
    assert_eq!(bench.at_once(), "a");
}

#[tokio::test]
async fn tokens_of_ten_seconds_are_fetched_once_each() {
    let mut bench = Bench::holding(10 * SECOND).await;
    let mut answered = 1;
    for _ in 0..600 {
        bench.clock.advance(100 * MS);
        assert!(bench.get_at_once().unwrap().is_ok());
        settled().await;
        if bench.source.fetches() > answered {
            bench.answer("next", 10 * SECOND).await;
            answered += 1;
        }
    }
    assert_eq!(answered, 13, "a minute of tokens, each refreshed at half of its life");
}

#[tokio::test]
async fn p08_a_token_taken_away_does_not_put_off_the_attempt_that_callers_were_told_of() {
    let mut bench = Bench::with(|builder| builder.min_refresh_interval(SECOND / 10));
    let token = bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR - 4 * SECOND);
    for _ in 0..5 {
        bench.clock.advance(bench.cache.status().next_attempt);
        let refresh = bench.refresh();
        bench.fail().await;
        refresh.await.unwrap().unwrap_err();
    }
    // Half of what the token had left, which is less than the backoff would be without one.
    let promised = bench.cache.status().next_attempt;
    bench.cache.invalidate(&token);
    assert_eq!(bench.cache.status().next_attempt, promised);
}

#[tokio::test]
async fn p08_the_interval_counts_after_a_failure_too_however_little_the_token_has_left() {
    let mut bench = Bench::with_left(SECOND).await;
    let get = bench.get();
    bench.fail().await;
    get.await.unwrap().unwrap();
    assert_eq!(bench.cache.status().next_attempt, SECOND, "and not half of what is left");
}
