//! Promises 23 and 24: what can be seen of a cache.

use super::*;
use token_cache_core::{ErrorKind, Event, FetchReason, Freshness};

#[tokio::test]
async fn p23_the_status_tells_all_that_the_cache_knows() {
    let mut bench = Bench::new();
    let empty = bench.cache.status();
    assert_eq!((empty.generation, empty.freshness, empty.remaining, empty.failures), (0, Freshness::Empty, None, 0));

    bench.fetch("a", HOUR).await;
    bench.clock.advance(HOUR - 4 * MINUTE);
    let near = bench.cache.status();
    assert_eq!((near.generation, near.freshness, near.refreshing), (1, Freshness::NearExpiry, false));
    assert_eq!((near.age, near.remaining), (Some(HOUR - 4 * MINUTE), Some(4 * MINUTE)));
    assert_eq!(near.next_attempt, Duration::ZERO);

    bench.at_once();
    assert!(bench.cache.status().refreshing);
    bench.fail().await;
    let failed = bench.cache.status();
    assert_eq!((failed.failures, failed.refreshing, failed.freshness), (1, false, Freshness::NearExpiry));
    assert_eq!(failed.last_error.unwrap().kind(), ErrorKind::Source);
    assert!((SECOND..=2 * SECOND).contains(&failed.next_attempt));

    bench.clock.advance(3 * MINUTE + 1 * SECOND);
    assert_eq!(bench.cache.status().freshness, Freshness::TooShort);
    bench.clock.advance(MINUTE);
    assert_eq!(bench.cache.status().freshness, Freshness::Expired);
    assert_eq!(bench.cache.status().remaining, Some(Duration::ZERO));
}

#[tokio::test]
async fn p23_each_change_is_one_event_and_a_hit_is_none() {
    let mut bench = Bench::holding(HOUR).await;
    assert!(matches!(
        bench.log.take()[..],
        [
            Event::FetchStarted { reason: FetchReason::Empty, .. },
            Event::FetchSucceeded { generation: 1, remaining: Some(HOUR), took: Duration::ZERO, .. }
        ]
    ));
    for _ in 0..100 {
        bench.at_once();
    }
    assert!(bench.log.take().is_empty());

    bench.clock.advance(MINUTE);
    let refresh = bench.refresh();
    let fetch = bench.source.next_fetch().await;
    bench.clock.advance(2 * SECOND);
    fetch.fail("down");
    refresh.await.unwrap().unwrap_err();
    let events = bench.log.take();
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
async fn p23_a_listener_that_panics_loses_nothing_but_the_event() {
    let clock = VirtualClock::new();
    let (source, mut handle) = mock_source::<Token>();
    let cache = TokenCache::builder(source).clock(clock.clone()).on_event(|_| panic!("a careless listener")).build();
    let get = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    handle.next_fetch().await.succeed(TemporaryToken::new("a", clock.after(HOUR)));
    let token = get.await.unwrap().unwrap();
    cache.invalidate(&token);
    assert!(cache.peek().is_none());
}

#[tokio::test]
async fn p24_a_subscriber_learns_of_each_new_token() {
    let mut bench = Bench::holding(HOUR).await;
    let mut subscription = bench.cache.subscribe();
    let next = tokio::spawn(async move { (subscription.changed().await, subscription) });
    settled().await;
    assert!(!next.is_finished(), "what was there before is no news");

    bench.clock.advance(HOUR - MINUTE * 4);
    bench.at_once();
    bench.answer("b", HOUR).await;
    let (token, mut subscription) = next.await.unwrap();
    assert!(Arc::ptr_eq(&token.unwrap(), &bench.cache.peek().unwrap()));

    drop(bench.cache);
    assert!(subscription.changed().await.is_none(), "nothing will come any more");
}

#[tokio::test]
async fn p24_a_slow_subscriber_gets_the_newest_and_never_a_rejected_one() {
    let mut bench = Bench::new();
    let mut subscription = bench.cache.subscribe();
    bench.fetch("a", MINUTE).await;
    bench.clock.advance(MINUTE);
    let b = bench.fetch("b", HOUR).await;
    assert!(Arc::ptr_eq(&subscription.changed().await.unwrap(), &b));

    bench.clock.advance(SECOND);
    let refresh = bench.refresh();
    bench.answer("c", HOUR).await;
    bench.cache.invalidate(&refresh.await.unwrap().unwrap());
    assert!(futures::FutureExt::now_or_never(subscription.changed()).is_none());
}

#[tokio::test]
async fn p24_a_subscription_keeps_nothing_alive_and_fetches_nothing() {
    let mut bench = Bench::new();
    let subscription = bench.cache.subscribe();
    bench.source.assert_no_fetch().await;
    let get = bench.get();
    let mut fetch = bench.source.next_fetch().await;
    get.abort();
    drop(bench.cache);
    fetch.aborted().await;
    drop(subscription);
}

#[cfg(feature = "metrics")]
#[test]
fn p23_metrics_count_what_has_happened_under_the_name_of_the_cache() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut bench = Bench::with(|builder| builder.name("vault"));
            let token = bench.fetch("a", HOUR).await;
            bench.clock.advance(HOUR - 4 * MINUTE);
            bench.at_once();
            bench.fail().await;
            bench.cache.invalidate(&token);
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
