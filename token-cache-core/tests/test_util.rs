//! The tools that the core offers for tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use token_cache_core::test_util::{self, SimulatedCache, VirtualClock, mock_source, settled};
use token_cache_core::{Clock, Freshness, TemporaryToken, TokenCache, source_fn};

type Harness = test_util::Harness<&'static str>;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
#[should_panic(expected = "no fetch was started: 1 so far")]
async fn next_fetch_panics_without_a_fetch() {
    let mut harness = Harness::new();
    harness.fetch("a", HOUR).await;
    let _ = harness.get_now();
    let _ = harness.source.next_fetch().await;
}

#[tokio::test]
#[should_panic(expected = "the cache was dropped")]
async fn next_fetch_panics_without_a_cache() {
    let mut harness = Harness::new();
    drop(harness.cache);
    let _ = harness.source.next_fetch().await;
}

#[tokio::test]
async fn try_next_fetch_returns_none_without_a_fetch() {
    let mut harness = Harness::new();
    assert!(harness.source.try_next_fetch().await.is_none());
    let get = harness.spawn_get();
    harness.source.try_next_fetch().await.unwrap().succeed_for("a", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "a");
    assert!(harness.source.try_next_fetch().await.is_none());
}

#[tokio::test]
#[should_panic(expected = "unexpected fetch")]
async fn assert_no_fetch_panics_after_a_fetch() {
    let mut harness = Harness::new();
    let _get = harness.spawn_get();
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn wait_for_fetch_waits_without_limit() {
    let mut harness = Harness::new();
    let waits = tokio::spawn(async move {
        harness.source.wait_for_fetch().await.succeed_for("a", HOUR);
        harness.clock
    });
    settled().await;
    assert!(!waits.is_finished());
}

#[test]
fn settled_works_on_several_workers() {
    for workers in [1, 2, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().unwrap();
        let rotate = async || {
            let mut harness = Harness::new();
            for round in 0..5 {
                let get = harness.spawn_get();
                harness.succeed("a", HOUR).await;
                assert!(get.is_finished() && harness.cache.peek().is_some());
                assert_eq!(harness.cache.status().generation, round + 1);
                harness.clock.advance(HOUR);
            }
        };
        runtime.block_on(rotate());
        runtime.block_on(async { tokio::spawn(async move { rotate().await }).await.unwrap() });
    }
}

#[tokio::test]
async fn jitter_sample_fixes_jitter_and_backoff() {
    for (sample, buffer, backoff) in [(0, 300, 1000), (1, 600, 2000)] {
        let mut harness = Harness::with(|builder| builder.jitter(1.0).jitter_sample(move || f64::from(sample)));
        harness.fetch("first", HOUR).await;
        harness.clock.advance(HOUR - 120 * SECOND);
        let _ = harness.get_now();
        harness.succeed("a", HOUR).await; // in turn
        harness.clock.advance(HOUR - buffer * SECOND - MS);
        assert_eq!(harness.cache.status().freshness, Freshness::Fresh);
        harness.clock.advance(MS);
        assert_eq!(harness.cache.status().freshness, Freshness::NearExpiry);
        let _ = harness.get_now();
        harness.fail().await;
        assert_eq!(harness.cache.status().next_attempt, backoff * MS);
    }
}

#[tokio::test]
async fn jitter_sample_is_called_once_per_fetch() {
    let samples = Arc::new(AtomicUsize::new(0));
    let mut harness = Harness::with(|builder| {
        let samples = Arc::clone(&samples);
        builder.jitter_sample(move || {
            samples.fetch_add(1, Ordering::SeqCst);
            0.0
        })
    });
    let before = samples.load(Ordering::SeqCst);
    harness.fetch("a", HOUR).await;
    let _ = harness.get_now();
    assert_eq!(samples.load(Ordering::SeqCst), before + 1);
}

#[test]
fn a_virtual_clock_has_no_end() {
    let clock = VirtualClock::new();
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    assert_eq!(clock.now().monotonic(), Duration::MAX);
}

#[test]
fn a_virtual_tick_changes_with_the_time() {
    let clock = VirtualClock::new();
    let first = clock.tick().unwrap();
    clock.advance_within_tick(99 * MS);
    assert_eq!((clock.tick(), clock.now().monotonic()), (Some(first), 99 * MS));
    clock.advance(MS);
    assert_ne!(clock.tick(), Some(first));
    let second = clock.tick();
    clock.set_wall(clock.after(HOUR));
    assert_ne!(clock.tick(), second);
    assert!(VirtualClock::without_tick().tick().is_none());
}

#[tokio::test]
async fn a_dropped_fetch_is_never_answered() {
    let (mock, mut source) = mock_source::<&str>();
    let clock = VirtualClock::new();
    let cache = TokenCache::builder(mock).clock(clock.clone()).build();
    let get = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    drop(source.next_fetch().await);
    settled().await;
    assert!(!get.is_finished());
    clock.advance(30 * SECOND);
    get.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_simulated_cache_fetches_like_a_real_one() {
    const JITTER_SAMPLE: f64 = 0.3;
    let issue = |is_up| if is_up { Ok(TemporaryToken::expires_in((), HOUR)) } else { Err("the issuer is down") };
    let (clock, is_up, fetches) = (VirtualClock::new(), Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let source = {
        let (is_up, fetches) = (Arc::clone(&is_up), Arc::clone(&fetches));
        source_fn(move || {
            fetches.fetch_add(1, Ordering::Relaxed);
            std::future::ready(issue(is_up.load(Ordering::Relaxed)))
        })
    };
    let cache = TokenCache::builder(source).clock(clock.clone()).jitter_sample(|| JITTER_SAMPLE).build();
    let mut simulated = SimulatedCache::with_settings_of(&cache, clock.now());
    let (start, mut simulated_fetches) = (clock.now().monotonic(), 0);
    loop {
        let now = clock.now();
        let elapsed = now.monotonic() - start;
        is_up.store(!(2 * HOUR..4 * HOUR).contains(&elapsed), Ordering::Relaxed);
        assert_eq!(cache.peek().is_some(), simulated.has_token(now), "before {elapsed:?}");
        let _ = cache.get().await;
        settled().await;
        simulated.get(now, JITTER_SAMPLE, || {
            simulated_fetches += 1;
            Ok(issue(is_up.load(Ordering::Relaxed))?)
        });
        assert_eq!(fetches.load(Ordering::Relaxed), simulated_fetches, "after {elapsed:?}");
        assert_eq!(cache.peek().is_some(), simulated.has_token(now), "after {elapsed:?}");
        if elapsed > 6 * HOUR {
            break;
        }
        clock.advance(simulated.next_decision(now) - now.monotonic() - MS);
        let _ = cache.get().await;
        settled().await;
        assert_eq!(fetches.load(Ordering::Relaxed), simulated_fetches, "before the next decision");
        clock.advance(MS);
    }
    assert!(simulated_fetches > 50, "{simulated_fetches} fetches, in two hours of outage");
}
