//! Promises 17 and 18: two clocks, both of them the test's.

use super::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use token_cache_core::{Clock, Freshness, TimePoint, TokenCache};
use token_cache_testing::mock_source;

#[tokio::test]
async fn p17_a_machine_that_slept_does_not_hand_out_a_dead_token() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(SECOND);
    bench.clock.suspend(HOUR);
    let get = bench.get();
    bench.answer("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p17_a_clock_set_back_does_not_keep_a_token_alive() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.set_wall(bench.clock.wall() - 24 * HOUR);
    bench.clock.advance(HOUR);
    let get = bench.get();
    bench.answer("b", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn p17_a_clock_set_forward_costs_a_refresh_and_nothing_else() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(SECOND);
    bench.clock.suspend(24 * HOUR);
    assert_eq!(*bench.fetch("b", HOUR).await, "b");
    bench.clock.advance(HOUR / 2);
    assert_eq!(bench.at_once(), "b");
    assert_eq!(bench.source.fetches(), 2);
}

#[tokio::test]
async fn p17_a_lifetime_counts_from_the_start_of_the_fetch() {
    let mut bench = Bench::new();
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(10 * SECOND);
    fetch.succeed(TemporaryToken::expires_in("a", HOUR));
    get.await.unwrap().unwrap();
    assert_eq!(bench.cache.status().remaining, Some(HOUR - 10 * SECOND));
}

#[tokio::test]
async fn the_issuers_own_word_on_the_refresh_takes_the_place_of_the_buffer() {
    let clock = VirtualClock::new();
    let (source, mut handle) = mock_source();
    let cache = TokenCache::builder(source).clock(clock.clone()).build();
    let get = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get().await.unwrap() }
    });
    let token = TemporaryToken::new("a", clock.after(HOUR)).refresh_at(clock.after(HOUR / 2));
    handle.next_fetch().await.succeed(token);
    get.await.unwrap();
    clock.advance(HOUR / 2 - MS);
    assert_eq!(cache.status().freshness, Freshness::Fresh);
    clock.advance(MS);
    assert_eq!(cache.status().freshness, Freshness::NearExpiry);
}

#[tokio::test]
async fn jitter_moves_the_refresh_earlier_by_its_share_of_the_buffer_at_the_most() {
    let mut starts = Vec::new();
    for _ in 0..50 {
        let mut bench = Bench::with(|builder| builder.jitter(0.5));
        bench.fetch("a", HOUR).await;
        bench.clock.advance(HOUR - 5 * MINUTE - 5 * MINUTE / 2 - MS);
        assert_eq!(bench.cache.status().freshness, Freshness::Fresh);
        while bench.cache.status().freshness == Freshness::Fresh {
            bench.clock.advance(SECOND / 4);
        }
        let left = bench.cache.status().remaining.unwrap();
        assert!(left >= 5 * MINUTE - SECOND / 4, "{left:?}");
        starts.push(left);
    }
    starts.sort();
    starts.dedup();
    assert!(starts.len() > 10, "drawn anew for each token: {starts:?}");
}

#[tokio::test]
async fn p18_no_instant_however_far_makes_the_cache_panic() {
    let epoch = SystemTime::UNIX_EPOCH;
    for expires_at in [epoch - HOUR, epoch, epoch + Duration::from_secs(253_402_300_799)] {
        for now in [epoch - 24 * HOUR, epoch, epoch + 500_000 * HOUR] {
            let mut bench = Bench::new();
            bench.clock.set_wall(now);
            let get = bench.get();
            bench.source.next_fetch().await.succeed(TemporaryToken::new("a", expires_at));
            assert_eq!(get.await.unwrap().is_ok(), expires_at > now);
            let _ = bench.cache.status();
        }
    }
}

#[tokio::test]
async fn p17_the_buffers_scale_with_the_lifetime_from_the_start_of_the_fetch() {
    let mut bench = Bench::new();
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    let token = TemporaryToken::new("a", bench.clock.after(20 * SECOND));
    bench.clock.advance(10 * SECOND);
    fetch.succeed(token);
    get.await.unwrap().unwrap();
    assert_eq!(bench.cache.status().freshness, Freshness::NearExpiry, "half of its twenty seconds are over");
}

#[tokio::test]
async fn p02_while_a_tick_goes_by_nothing_is_handed_out_past_its_expiry() {
    let (ticking, cache) = holding_an_hour(Some(0)).await;
    ticking.clock.advance(HOUR - 150 * MS);
    ticking.goes_on();
    assert!(at_once(&cache), "150 ms left");
    let reads = ticking.reads();
    ticking.clock.advance(99 * MS);
    assert!(at_once(&cache), "51 ms left, and as many as before for all that is known");
    assert_eq!(ticking.reads(), reads, "the time was not looked at");
    ticking.goes_on();
    assert!(at_once(&cache), "51 ms left");
    ticking.clock.advance(51 * MS);
    assert!(!at_once(&cache), "it has expired within a tick");
}

#[tokio::test]
async fn p18_a_clock_without_ticks_is_asked_at_each_read() {
    let (ticking, cache) = holding_an_hour(None).await;
    let reads = ticking.reads();
    for read in 1..=3 {
        assert!(at_once(&cache));
        assert_eq!(ticking.reads(), reads + read);
    }
}

/// A cache of a token that is fresh to its end, on a clock whose ticks the test counts.
async fn holding_an_hour(tick: Option<u64>) -> (Ticking, TokenCache<Token>) {
    let ticking = Ticking::new(tick);
    let (mock, mut source) = mock_source();
    let builder = TokenCache::builder(mock).jitter(0.0).expiry_buffer(Duration::ZERO).min_ttl(Duration::ZERO);
    let cache = builder.clock(ticking.clone()).build();
    let answer = async { source.next_fetch().await.succeed(TemporaryToken::expires_in("a", HOUR)) };
    futures::future::join(cache.get(), answer).await.0.unwrap();
    (ticking, cache)
}

/// Whether a caller gets a token who will not wait at all.
fn at_once(cache: &TokenCache<Token>) -> bool {
    cache.get().now_or_never().is_some()
}

/// The kit's clock, but for its ticks.
#[derive(Clone, Debug)]
struct Ticking {
    clock: VirtualClock,
    tick: Arc<Mutex<Option<u64>>>,
    reads: Arc<AtomicUsize>,
}

impl Ticking {
    fn new(tick: Option<u64>) -> Self {
        Self { clock: VirtualClock::new(), tick: Arc::new(Mutex::new(tick)), reads: Arc::default() }
    }

    fn goes_on(&self) {
        let mut tick = self.tick.lock().unwrap();
        *tick = tick.map(|tick| tick + 1);
    }

    /// How often it was asked for the time.
    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Clock for Ticking {
    fn now(&self) -> TimePoint {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.clock.now()
    }

    fn tick(&self) -> Option<u64> {
        *self.tick.lock().unwrap()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}
