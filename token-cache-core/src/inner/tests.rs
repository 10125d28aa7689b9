//! A hit takes no lock: tested with the lock held, which only this crate can do.

use std::sync::mpsc;
use std::thread;

use futures::FutureExt;

use super::*;
use crate::cache::TokenCache;
use crate::status::{FetchState, Freshness};
use crate::test_util::Harness;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn cost_a_fresh_hit_takes_no_lock() {
    let harness = with_remaining(HOUR).await;
    assert_eq!(harness.cache.status().freshness, Freshness::Fresh);
    assert_hits_take_no_lock(&harness.cache);
}

#[tokio::test]
async fn cost_a_hit_takes_no_lock_during_a_refresh() {
    let mut harness = with_remaining(4 * MINUTE).await;
    assert_eq!(harness.get_now(), "a");
    let _hanging = harness.source.next_fetch().await;
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.fetch != FetchState::Idle);
    assert_hits_take_no_lock(&harness.cache);
}

#[tokio::test]
async fn cost_a_hit_takes_no_lock_during_a_backoff() {
    let mut harness = with_remaining(4 * MINUTE).await;
    assert_eq!(harness.get_now(), "a");
    harness.fail().await;
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.failures == 1 && !status.next_attempt.is_zero());
    assert_hits_take_no_lock(&harness.cache);
}

#[tokio::test]
async fn cost_a_too_short_hit_takes_no_lock_during_a_backoff() {
    let mut harness = with_remaining(50 * SECOND).await;
    let waiting = harness.spawn_get();
    harness.fail().await;
    waiting.await.unwrap().unwrap();
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::TooShort && status.failures == 1 && !status.next_attempt.is_zero());
    assert_hits_take_no_lock(&harness.cache);
}

#[tokio::test]
async fn cost_a_too_short_hit_takes_no_lock_after_the_soft_deadline() {
    let mut harness = with_remaining(50 * SECOND).await;
    let waiting = harness.spawn_get();
    let _hanging = harness.source.next_fetch().await;
    harness.clock.advance(5 * SECOND);
    waiting.await.unwrap().unwrap();
    let status = harness.cache.status();
    assert!(status.freshness == Freshness::TooShort && status.fetch != FetchState::Idle);
    assert_hits_take_no_lock(&harness.cache);
}

async fn with_remaining(remaining: Duration) -> Harness<&'static str> {
    let mut harness = Harness::new();
    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - remaining);
    harness
}

/// Reads on another thread while this one holds the lock. A reader that needs the lock does not finish.
fn assert_hits_take_no_lock(cache: &TokenCache<&'static str>) {
    let view = cache.view(|token| token.len());
    view.get().now_or_never().expect("no hit").unwrap(); // the first read converts
    let (done, results) = mpsc::channel();
    let hits = thread::scope(|scope| {
        let locked = lock(&cache.inner.locked);
        scope.spawn(move || {
            for _ in 0..100 {
                let hits = (cache.get().now_or_never(), view.get().now_or_never());
                done.send(matches!(hits, (Some(Ok(_)), Some(Ok(_))))).unwrap();
            }
        });
        // Only a failure takes this long.
        let hits: Result<Vec<_>, _> = (0..100).map(|_| results.recv_timeout(MINUTE)).collect();
        // Before the scope ends, which waits for the reader.
        drop(locked);
        hits
    });
    assert!(hits.expect("a hit waits for the lock").iter().all(|hit| *hit), "no hit");
}
