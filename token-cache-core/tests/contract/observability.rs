//! Promises 23 and 24: what can be observed of a cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use token_cache_core::{ErrorKind, Event, FetchReason, FetchState, Freshness, WeakTokenCache};

use super::*;

#[tokio::test]
async fn p23_the_status_shows_each_change() {
    let mut harness = Harness::with(|builder| builder.jitter_sample(|| 0.5));
    let empty = harness.cache.status();
    assert_eq!((empty.generation, empty.freshness, empty.remaining, empty.failures), (0, Freshness::Empty, None, 0));

    harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    let near = harness.cache.status();
    assert_eq!((near.generation, near.freshness, near.fetch), (1, Freshness::NearExpiry, FetchState::Idle));
    assert_eq!((near.age, near.remaining), (Some(HOUR - 4 * MINUTE), Some(4 * MINUTE)));
    assert_eq!(near.next_attempt, Duration::ZERO);

    let _ = harness.get_now();
    assert_eq!(harness.cache.status().fetch, FetchState::Waiting, "for its task");
    settled().await;
    assert_eq!(harness.cache.status().fetch, FetchState::Running);
    harness.fail().await;
    let failed = harness.cache.status();
    assert_eq!((failed.failures, failed.fetch, failed.freshness), (1, FetchState::Idle, Freshness::NearExpiry));
    assert_eq!(failed.last_error.unwrap().kind(), ErrorKind::Source);
    assert_eq!(failed.next_attempt, SECOND * 3 / 2);

    harness.clock.advance(3 * MINUTE + SECOND);
    assert_eq!(harness.cache.status().freshness, Freshness::TooShort);
    harness.clock.advance(MINUTE);
    assert_eq!(harness.cache.status().freshness, Freshness::Expired);
    assert_eq!(harness.cache.status().remaining, Some(Duration::ZERO));
}

#[tokio::test]
async fn p23_each_change_is_one_event() {
    let mut harness = with_token(HOUR).await;
    assert!(matches!(
        harness.log.take()[..],
        [
            Event::FetchStarted { reason: FetchReason::Empty, .. },
            Event::FetchSucceeded { generation: 1, remaining: Some(HOUR), took: Duration::ZERO, .. }
        ]
    ));
    for _ in 0..100 {
        let _ = harness.get_now();
    }
    assert!(harness.log.take().is_empty(), "a hit emits nothing");

    harness.clock.advance(MINUTE);
    let refresh = spawn_refresh(&harness);
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(2 * SECOND);
    fetch.fail("down");
    refresh.await.unwrap().unwrap_err();
    let events = harness.log.take();
    let [
        Event::FetchStarted { reason: FetchReason::Requested, .. },
        Event::FetchFailed { error, failures: 1, took, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((error.kind(), *took), (ErrorKind::Source, 2 * SECOND));
    assert!(error.retry_after().is_some());
}

#[tokio::test]
async fn p23_a_panic_of_the_listener_is_contained() {
    let mut harness = Harness::with(|builder| builder.on_event(|_| panic!("a listener that panics")));
    let token = harness.fetch("a", HOUR).await;
    harness.cache.invalidate(&token);
    assert!(harness.cache.peek().is_none());
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A listener that reads the cache must not deadlock: <https://github.com/ben-manes/caffeine/issues/712>,
/// <https://github.com/moka-rs/moka/issues/240>.
#[tokio::test]
async fn p23_the_token_is_stored_before_the_event() {
    let cache = Arc::new(OnceLock::<WeakTokenCache<Token>>::new());
    let (woken, seen) = (Arc::new(Woken::default()), Arc::new(Mutex::new(Vec::new())));
    let mut harness = Harness::with(|builder| {
        let (cache, woken, seen) = (Arc::clone(&cache), Arc::clone(&woken), Arc::clone(&seen));
        builder.on_event(move |event| {
            if !matches!(event, Event::FetchStarted { .. }) {
                let cache = cache.get().unwrap().upgrade().unwrap();
                let (token, status) = (cache.peek().map(|token| *token), cache.status());
                let waiters_are_woken = woken.0.load(Ordering::SeqCst);
                seen.lock().unwrap().push((token, status.generation, status.failures, waiters_are_woken));
            }
        })
    });
    cache.set(harness.cache.downgrade()).unwrap();

    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut waits = Box::pin(harness.cache.get());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    harness.source.next_fetch().await.succeed_for("a", HOUR);
    settled().await;
    assert_eq!(seen.lock().unwrap()[..], [(Some("a"), 1, 0, true)]);
    assert!(matches!(waits.as_mut().poll(&mut context), Poll::Ready(Ok(_))));

    harness.clock.advance(MINUTE);
    woken.0.store(false, Ordering::SeqCst);
    let mut waits = Box::pin(harness.cache.refresh());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    harness.source.next_fetch().await.fail("the issuer is down");
    settled().await;
    assert_eq!(seen.lock().unwrap()[1..], [(Some("a"), 1, 1, true)]);
    assert!(matches!(waits.as_mut().poll(&mut context), Poll::Ready(Err(_))));

    harness.cache.invalidate(&harness.cache.peek().unwrap());
    assert_eq!(seen.lock().unwrap()[2..], [(None, 1, 1, true)]);
}

/// For long-lived connections: <https://github.com/redis/redis-py/issues/3405>,
/// <https://github.com/redis-rs/redis-rs/issues/1831>.
#[tokio::test]
async fn p24_a_subscriber_receives_each_new_token() {
    let mut harness = with_token(HOUR).await;
    let mut subscription = harness.cache.subscribe();
    let next = tokio::spawn(async move { (subscription.changed().await, subscription) });
    settled().await;
    assert!(!next.is_finished(), "the stored token is not new");

    harness.clock.advance(HOUR - 4 * MINUTE);
    let _ = harness.get_now();
    harness.succeed("b", HOUR).await;
    let (token, mut subscription) = next.await.unwrap();
    assert!(Arc::ptr_eq(&token.unwrap(), &harness.cache.peek().unwrap()));

    drop(harness.cache);
    assert!(subscription.changed().await.is_none(), "the last handle is dropped");
}

#[tokio::test]
async fn p24_a_slow_subscriber_receives_the_latest_token() {
    let mut harness = Harness::new();
    let mut subscription = harness.cache.subscribe();
    harness.fetch("a", MINUTE).await;
    harness.clock.advance(MINUTE);
    let b = harness.fetch("b", HOUR).await;
    assert!(Arc::ptr_eq(&subscription.changed().await.unwrap(), &b));

    harness.clock.advance(SECOND);
    let refresh = spawn_refresh(&harness);
    harness.succeed("c", HOUR).await;
    harness.cache.invalidate(&refresh.await.unwrap().unwrap());
    assert!(subscription.changed().now_or_never().is_none(), "never a rejected token");
}

#[tokio::test]
async fn p24_a_subscription_keeps_nothing_alive() {
    let mut harness = Harness::new();
    let subscription = harness.cache.subscribe();
    harness.source.assert_no_fetch().await;
    let get = harness.spawn_get();
    let mut fetch = harness.source.next_fetch().await;
    get.abort();
    drop(harness.cache);
    fetch.aborted().await;
    drop(subscription);
}

#[cfg(feature = "metrics")]
#[test]
fn p23_metrics_count_by_cache_and_outcome() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        runtime().block_on(async {
            let mut harness = Harness::with(|builder| builder.name("vault"));
            let token = harness.fetch("a", HOUR).await;
            harness.clock.advance(HOUR - 4 * MINUTE);
            let _ = harness.get_now();
            harness.fail().await;
            harness.cache.invalidate(&token);
        });
    });
    let mut seen: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(gauge) => gauge.to_string(),
                DebugValue::Histogram(samples) => format!("{} samples", samples.len()),
            };
            format!("{}{{{}}} {value}", key.key().name(), labels.join(","))
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "token_cache_failures{cache=vault} 1",
            "token_cache_fetch_seconds{cache=vault,outcome=failed} 1 samples",
            "token_cache_fetch_seconds{cache=vault,outcome=ok} 1 samples",
            "token_cache_fetches_total{cache=vault,outcome=failed} 1",
            "token_cache_fetches_total{cache=vault,outcome=ok} 1",
            "token_cache_invalidations_total{cache=vault} 1",
        ]
    );
}
