//! Promises 17 and 18: expiry on two clocks, and the clock of the test.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use futures::future::BoxFuture;
use token_cache_core::{Clock, Freshness, TimePoint};

use super::*;

#[tokio::test]
async fn p17_time_while_suspended_counts() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(SECOND);
    harness.clock.suspend(HOUR);
    let get = harness.spawn_get();
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p17_a_clock_set_back_extends_no_token() {
    let mut harness = with_token(HOUR).await;
    harness.clock.set_wall(harness.clock.wall() - 24 * HOUR);
    harness.clock.advance(HOUR);
    let get = harness.spawn_get();
    harness.succeed("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p17_a_clock_set_forward_costs_one_refresh() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(SECOND);
    harness.clock.suspend(24 * HOUR);
    assert_eq!(*harness.fetch("b", HOUR).await, "b");
    harness.clock.advance(HOUR / 2);
    assert_eq!(harness.get_now(), "b");
    assert_eq!(harness.source.fetches(), 2);
}

/// <https://www.rfc-editor.org/rfc/rfc6749#section-5.1>
#[tokio::test]
async fn p17_a_lifetime_counts_from_the_start() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(10 * SECOND);
    fetch.succeed(TemporaryToken::expires_in("a", HOUR));
    get.await.unwrap().unwrap();
    assert_eq!(harness.cache.status().remaining, Some(HOUR - 10 * SECOND));
}

#[tokio::test]
async fn p17_the_buffers_scale_with_the_lifetime() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    let token = TemporaryToken::new("a", harness.clock.after(20 * SECOND));
    harness.clock.advance(10 * SECOND);
    fetch.succeed(token);
    get.await.unwrap().unwrap();
    assert_eq!(harness.cache.status().freshness, Freshness::NearExpiry, "10 of 20 seconds remain");
}

#[tokio::test]
async fn the_issuers_refresh_time_replaces_the_buffer() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let token = TemporaryToken::new("a", harness.clock.after(HOUR)).refresh_at(harness.clock.after(HOUR / 2));
    harness.source.next_fetch().await.succeed(token);
    get.await.unwrap().unwrap();
    harness.clock.advance(HOUR / 2 - MS);
    let status = harness.cache.status();
    assert_eq!((status.freshness, status.until_refresh), (Freshness::Fresh, Some(MS)));
    harness.clock.advance(MS);
    let status = harness.cache.status();
    assert_eq!((status.freshness, status.until_refresh), (Freshness::NearExpiry, Some(Duration::ZERO)));
}

#[tokio::test]
async fn without_a_token_or_an_expiry_no_refresh_is_ahead() {
    let mut harness = Harness::new();
    assert_eq!(harness.cache.status().until_refresh, None);
    let get = harness.spawn_get();
    harness.source.next_fetch().await.succeed(TemporaryToken::never_expires("a"));
    get.await.unwrap().unwrap();
    assert_eq!(harness.cache.status().until_refresh, None);
}

/// Fetches a token in the background, when it is due.
async fn fetch_in_turn(harness: &mut Harness) {
    harness.fetch("first", HOUR).await;
    harness.clock.advance(HOUR - 2 * MINUTE);
    let _ = harness.get_now();
    harness.succeed("a", HOUR).await;
}

#[tokio::test]
async fn jitter_spreads_the_first_refresh_over_the_fresh_period() {
    for (sample, at) in [(0.0, 0), (0.5, 1642), (1.0, 3284)] {
        let mut harness = Harness::with(|builder| builder.jitter(0.1).jitter_sample(move || sample));
        harness.fetch("a", HOUR).await;
        harness.clock.advance(at * SECOND);
        let fresh = harness.cache.status().freshness == Freshness::Fresh;
        harness.clock.advance(SECOND);
        assert_eq!((fresh, harness.cache.status().freshness), (sample > 0.0, Freshness::NearExpiry), "{sample}");
    }
}

/// <https://github.com/dotnet/SqlClient/issues/1495>
#[tokio::test]
async fn p11_a_past_refresh_time_is_ignored() {
    let mut harness = Harness::new();
    let expires = harness.clock.after(2 * HOUR);
    let past = harness.clock.wall();
    harness.clock.advance(SECOND);
    for _ in 0..3600 {
        let get = harness.spawn_get();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.succeed(TemporaryToken::new("a", expires).refresh_at(past));
        }
        get.await.unwrap().unwrap();
        harness.clock.advance(SECOND);
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p11_a_near_refresh_time_of_a_repeated_token_is_ignored() {
    let mut harness = Harness::new();
    let expires = harness.clock.after(2 * HOUR);
    for _ in 0..3600 {
        let get = harness.spawn_get();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.succeed(TemporaryToken::new("a", expires).refresh_at(harness.clock.after(SECOND)));
        }
        get.await.unwrap().unwrap();
        harness.clock.advance(SECOND);
    }
    assert_eq!(harness.source.fetches(), 2, "then the buffer counts");
}

#[tokio::test]
async fn jitter_starts_the_refresh_earlier() {
    for (sample, buffer) in [(0.0, 300), (0.25, 375), (0.5, 450), (1.0, 600)] {
        let mut harness = Harness::with(|builder| builder.jitter(1.0).jitter_sample(move || sample));
        fetch_in_turn(&mut harness).await;
        harness.clock.advance(HOUR - buffer * SECOND - MS);
        assert_eq!(harness.cache.status().freshness, Freshness::Fresh, "{sample}");
        harness.clock.advance(MS);
        assert_eq!(harness.cache.status().freshness, Freshness::NearExpiry, "{sample}");
    }
}

#[tokio::test]
async fn jitter_is_random_for_each_token() {
    let mut harness = Harness::with(|builder| builder.jitter(0.5));
    let mut buffers = Vec::new();
    for _ in 0..50 {
        fetch_in_turn(&mut harness).await;
        harness.clock.advance(HOUR - 5 * MINUTE - 5 * MINUTE / 2 - MS);
        assert_eq!(harness.cache.status().freshness, Freshness::Fresh);
        while harness.cache.status().freshness == Freshness::Fresh {
            harness.clock.advance(SECOND / 4);
        }
        let remaining = harness.cache.status().remaining.unwrap();
        assert!(remaining >= 5 * MINUTE - SECOND / 4, "{remaining:?}");
        buffers.push(remaining);
        harness.clock.advance(HOUR);
    }
    buffers.sort();
    buffers.dedup();
    assert!(buffers.len() > 10, "{buffers:?}");
}

#[tokio::test]
async fn p18_no_wall_time_makes_the_cache_panic() {
    let epoch = SystemTime::UNIX_EPOCH;
    for expires_at in [epoch - HOUR, epoch, epoch + Duration::from_secs(253_402_300_799)] {
        for now in [epoch - 24 * HOUR, epoch, epoch + 500_000 * HOUR] {
            let mut harness = Harness::new();
            harness.clock.set_wall(now);
            let get = harness.spawn_get();
            harness.source.next_fetch().await.succeed(TemporaryToken::new("a", expires_at));
            assert_eq!(get.await.unwrap().is_ok(), expires_at > now);
            let _ = harness.cache.status();
        }
    }
}

#[tokio::test]
async fn p18_a_hit_reads_the_time_once_per_tick() {
    let (harness, reads) = with_counting_clock(VirtualClock::new()).await;
    harness.clock.advance(MINUTE);
    let before = reads.load(Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(harness.get_now(), "a");
    }
    assert_eq!(reads.load(Ordering::SeqCst), before + 1);
    harness.clock.advance(MS);
    for _ in 0..100 {
        assert_eq!(harness.get_now(), "a");
    }
    assert_eq!(reads.load(Ordering::SeqCst), before + 2);
}

#[tokio::test]
async fn p02_each_read_checks_the_last_100_ms() {
    let (harness, reads) = with_counting_clock(VirtualClock::new()).await;
    harness.clock.advance(HOUR - 150 * MS);
    assert_eq!(harness.get_now(), "a", "150 ms remain");
    let before = reads.load(Ordering::SeqCst);
    harness.clock.advance_within_tick(99 * MS);
    assert_eq!(harness.get_now(), "a", "51 ms remain");
    assert_eq!(reads.load(Ordering::SeqCst), before, "the time was not read");

    harness.clock.advance(Duration::ZERO); // the next tick
    assert_eq!(harness.get_now(), "a", "51 ms remain");
    harness.clock.advance_within_tick(51 * MS - Duration::from_nanos(1));
    assert_eq!(harness.get_now(), "a", "1 ns remains");
    harness.clock.advance_within_tick(Duration::from_nanos(1));
    assert!(harness.poll_get().is_none(), "the token has expired within a tick");
}

#[tokio::test]
async fn p02_a_tick_never_extends_a_token() {
    for remaining in [1, 50, 99, 100, 101, 199] {
        let (harness, _) = with_counting_clock(VirtualClock::new()).await;
        harness.clock.advance(HOUR - remaining * MS);
        assert_eq!(harness.get_now(), "a", "{remaining} ms remain");
        // The longest tick that the contract of `Clock` allows.
        harness.clock.advance_within_tick((remaining * MS).min(99 * MS));
        assert_eq!(harness.poll_get().is_some(), remaining > 99, "{remaining} ms remained at the start of the tick");
    }
}

#[tokio::test]
async fn p18_without_a_tick_each_read_checks_the_time() {
    let (harness, reads) = with_counting_clock(VirtualClock::without_tick()).await;
    let before = reads.load(Ordering::SeqCst);
    for read in 1..=3 {
        assert_eq!(harness.get_now(), "a");
        assert_eq!(reads.load(Ordering::SeqCst), before + read);
    }
}

/// A cache whose token is fresh for one hour, and the number of times that it has read the time.
async fn with_counting_clock(clock: VirtualClock) -> (Harness, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let counting = CountingClock { clock: clock.clone(), reads: Arc::clone(&reads) };
    let mut harness =
        Harness::with(|builder| builder.expiry_buffer(Duration::ZERO).min_ttl(Duration::ZERO).clock(counting));
    harness.clock = clock;
    harness.fetch("a", HOUR).await;
    (harness, reads)
}

/// Counts how often the time is read.
#[derive(Clone, Debug)]
struct CountingClock {
    clock: VirtualClock,
    reads: Arc<AtomicUsize>,
}

impl Clock for CountingClock {
    fn now(&self) -> TimePoint {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.clock.now()
    }

    fn tick(&self) -> Option<NonZeroU64> {
        self.clock.tick()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}
