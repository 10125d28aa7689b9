//! Promises 19 to 21: what a cache does when it is asked to.

use super::*;
use token_cache_core::{ErrorKind, Event, Freshness};

fn seeded(lifetime: Duration) -> Bench {
    let clock = VirtualClock::new();
    let token = TemporaryToken::new("seed", clock.after(lifetime));
    Bench::with(|builder| builder.initial(token))
}

#[tokio::test]
async fn p19_a_cache_that_was_seeded_hands_the_seed_out_and_fetches_nothing() {
    let mut bench = seeded(HOUR);
    assert_eq!(bench.at_once(), "seed");
    assert_eq!(bench.cache.status().generation, 1);
    bench.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p19_a_seed_is_refreshed_as_any_other_token() {
    let mut bench = seeded(HOUR);
    bench.clock.advance(HOUR - MINUTE * 4);
    assert_eq!(bench.at_once(), "seed");
    bench.answer("a", HOUR).await;
    assert_eq!(bench.at_once(), "a");
    assert_eq!(bench.cache.status().generation, 2);
}

#[tokio::test]
async fn p19_a_seed_that_has_expired_is_left_aside() {
    let mut bench = seeded(Duration::ZERO);
    assert!(bench.cache.peek().is_none());
    assert_eq!(*bench.fetch("a", HOUR).await, "a");
}

/// Holds "a", which has just expired, with a source that has just failed.
async fn down_past_the_expiry(allowed: Duration) -> Bench {
    let mut bench = Bench::with(|builder| builder.stale_if_error(allowed));
    bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR);
    let get = bench.get();
    bench.fail().await;
    let outcome = get.await.unwrap();
    assert_eq!(outcome.is_ok(), !allowed.is_zero());
    bench
}

#[tokio::test]
async fn p20_while_the_source_is_down_an_expired_token_is_handed_out_for_as_long_as_allowed() {
    let mut bench = down_past_the_expiry(10 * MINUTE).await;
    let end = bench.clock.after(10 * MINUTE);
    while bench.clock.wall() < end {
        assert!(bench.cache.status().serving_expired);
        let get = bench.get();
        settled().await;
        if !get.is_finished() {
            bench.fail().await;
        }
        assert_eq!(*get.await.unwrap().unwrap(), "a");
        bench.clock.advance(SECOND);
    }
    assert!(!bench.cache.status().serving_expired);
    let get = bench.get();
    settled().await;
    if !get.is_finished() {
        bench.fail().await;
    }
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Source);
}

#[tokio::test]
async fn p20_a_hit_on_an_expired_token_waits_for_nobody() {
    let bench = down_past_the_expiry(10 * MINUTE).await;
    assert_eq!(bench.at_once(), "a");
    assert_eq!(bench.cache.status().freshness, Freshness::Expired);
    assert!(bench.cache.peek().is_none(), "peek shows what is good");
}

#[tokio::test]
async fn p20_it_is_told_once_a_token() {
    let mut bench = down_past_the_expiry(10 * MINUTE).await;
    for _ in 0..20 {
        bench.clock.advance(SECOND);
        let get = bench.get();
        settled().await;
        if !get.is_finished() {
            bench.fail().await;
        }
        get.await.unwrap().unwrap();
    }
    let told = |log: &EventLog| {
        log.take().iter().filter(|event| matches!(event, Event::ServedExpired { generation: 1, .. })).count()
    };
    assert_eq!(told(&bench.log), 1);
}

#[tokio::test]
async fn p20_a_source_that_hangs_is_waited_for_a_tenth_of_what_is_allowed() {
    let mut bench = down_past_the_expiry(100 * SECOND).await;
    bench.clock.advance(10 * SECOND);
    let get = bench.get();
    let _hangs = bench.source.next_fetch().await;
    bench.clock.advance(9 * SECOND - MS);
    settled().await;
    assert!(!get.is_finished());
    bench.clock.advance(MS);
    assert_eq!(*get.await.unwrap().unwrap(), "a");
    assert_eq!(bench.at_once(), "a", "and who comes later does not wait at all");
}

#[tokio::test]
async fn p20_a_source_that_is_merely_slow_is_waited_for() {
    let mut bench = Bench::with(|builder| builder.stale_if_error(MINUTE));
    bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR);
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(20 * SECOND);
    settled().await;
    assert!(!get.is_finished(), "nothing says that the source is down");
    fetch.succeed(TemporaryToken::new("b", bench.clock.after(HOUR)));
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p20_not_unless_asked_for() {
    let bench = down_past_the_expiry(Duration::ZERO).await;
    assert!(bench.get_at_once().unwrap().is_err());
}

#[tokio::test]
async fn p20_neither_a_rejected_token_nor_to_one_who_needs_it_to_last() {
    let bench = down_past_the_expiry(10 * MINUTE).await;
    assert!(bench.get_valid_for(SECOND).await.unwrap().is_err());
    let token = bench.cache.get().await.unwrap();
    bench.cache.invalidate(&token);
    assert!(bench.get_at_once().unwrap().is_err());
}

fn warm(idle: Duration) -> Bench {
    Bench::with(|builder| builder.keep_warm(idle))
}

#[tokio::test]
async fn p21_a_cache_that_is_kept_warm_fetches_without_being_read() {
    let mut bench = warm(24 * HOUR);
    bench.answer("a", HOUR).await;
    assert_eq!(bench.at_once(), "a", "the first caller does not wait");
    bench.clock.advance(HOUR - 5 * MINUTE - MS);
    bench.source.assert_no_fetch().await;
    bench.clock.advance(MS);
    bench.answer("b", HOUR).await;
    assert_eq!(*bench.cache.peek().unwrap(), "b");
    assert_eq!(bench.source.fetches(), 2);
}

#[tokio::test]
async fn p21_it_stops_when_nothing_was_read_for_long_and_begins_again_with_the_next_reader() {
    let mut bench = warm(3 * HOUR);
    let mut fetched = 0;
    for _ in 0..24 * 60 {
        settled().await;
        if bench.source.fetches() > fetched {
            fetched += 1;
            bench.answer("a", HOUR).await;
        }
        bench.clock.advance(MINUTE);
    }
    assert!((3..=5).contains(&fetched), "{fetched} fetches in a day without a reader");

    bench.fetch("b", HOUR).await;
    bench.clock.advance(HOUR - 5 * MINUTE);
    bench.answer("c", HOUR).await;
    assert_eq!(bench.at_once(), "c");
}

#[tokio::test]
async fn p21_readers_keep_it_warm_although_a_hit_writes_nothing() {
    let mut bench = warm(2 * HOUR);
    bench.answer("a", HOUR).await;
    let mut fetched = 1;
    for _ in 0..24 * 60 {
        bench.clock.advance(MINUTE);
        bench.at_once();
        settled().await;
        if bench.source.fetches() > fetched {
            fetched += 1;
            bench.answer("a", HOUR).await;
        }
    }
    assert!((25..=27).contains(&fetched), "{fetched} fetches in a day of tokens that are refreshed every 55 minutes");
}

#[tokio::test]
async fn p21_a_failing_source_is_paced_all_the_same() {
    let mut bench = warm(24 * HOUR);
    let mut failed = 0;
    for _ in 0..100 {
        settled().await;
        if bench.source.fetches() > failed {
            failed += 1;
            bench.fail().await;
        }
        bench.clock.advance(SECOND);
    }
    assert!((20..=50).contains(&failed), "{failed} attempts in 100 seconds, up to five of them apart");
}

#[tokio::test]
async fn p21_it_ends_with_the_last_handle() {
    let mut bench = warm(Duration::MAX);
    bench.answer("a", HOUR).await;
    drop(bench.cache);
    settled().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn p21_readers_of_a_fresh_token_keep_it_warm_for_when_it_is_near_its_expiry() {
    let mut bench = warm(2 * HOUR);
    bench.answer("a", HOUR).await;
    for fetched in 1..24 {
        for minute in 0..55 {
            assert_eq!(bench.source.fetches(), fetched, "minute {minute}");
            if minute < 40 {
                bench.at_once();
            }
            bench.clock.advance(MINUTE);
            settled().await;
        }
        // Nobody has read for a quarter of an hour, and all the same:
        bench.answer("a", HOUR).await;
    }
}
