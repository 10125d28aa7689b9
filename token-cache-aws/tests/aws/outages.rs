//! Rotation under load, and failing issuers.

use std::sync::Arc;
use std::time::Duration;

use token_cache_aws::AwsTokenCache;
use token_cache_core::{ErrorKind, FetchState};
use token_cache_testing::aws::Fault;

use super::harness::*;

/// Sessions of one hour are refreshed in the background during their last 15 minutes.
const UNTIL_REFRESH: Duration = Duration::from_secs(46 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rotation_under_load_costs_one_call() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let load = Load::new(&cache);
    load.round().await;
    aws.issuer().set_delay(SECOND);
    for rotation in 1..=5 {
        aws.clock.advance(UNTIL_REFRESH);
        // The fetch is in flight during this round, because the issuer answers when the clock advances.
        load.round().await;
        wait_until(|| aws.issuer().counts().assume_role == rotation + 1).await;
        load.round().await;
        assert_eq!(cache.cache().status().generation, rotation);
        aws.clock.advance(SECOND);
        wait_until(|| cache.cache().status().generation == rotation + 1).await;
    }
    load.round().await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.assume_role, issuer.sessions, s3.sessions), (6, 6, 6));
    assert_eq!(s3.rejected_in_all(), 0);
}

#[tokio::test]
async fn p03_no_answer_of_the_issuer_evicts_a_valid_session() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let first = cache.get().await.unwrap();
    for fault in [Fault::Down, Fault::Garbage, Fault::Status(503), Fault::Status(403), Fault::Expired] {
        aws.issuer().fail(fault);
        let before = aws.issuer().counts().assume_role;
        aws.clock.advance(5 * MINUTE);
        assert!(cache.cache().refresh().await.is_err(), "{fault:?}");
        assert!(aws.issuer().counts().assume_role > before, "{fault:?}");
        assert!(Arc::ptr_eq(&first, &cache.get().await.unwrap()), "{fault:?}");
        round_trip(&store(&cache), "object").await.unwrap();
    }
}

#[tokio::test]
async fn p10_one_hundred_callers_share_one_failed_fetch() {
    let aws = TestAws::start().await;
    aws.issuer().fail(Fault::Status(403)); // the SDK does not retry it
    let cache = aws.cache().await;
    let errors = concurrently(100, |_| {
        let cache = cache.clone();
        Box::pin(async move { cache.get().await.unwrap_err() })
    });
    for error in errors.await {
        assert_eq!(error.kind(), ErrorKind::Source);
    }
    assert_eq!(aws.issuer().counts().assume_role, 1);
}

#[tokio::test]
async fn p11_an_expired_session_is_a_failed_fetch() {
    let aws = TestAws::start().await;
    aws.issuer().fail(Fault::Expired);
    let cache = aws.cache().await;
    assert_eq!(cache.get().await.unwrap_err().kind(), ErrorKind::AlreadyExpired);
    assert_eq!(aws.s3().counts().requests, 0);
}

#[tokio::test]
async fn p15_an_invalidated_session_is_replaced() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let first = cache.get().await.unwrap();
    aws.clock.advance(MINUTE);
    cache.cache().invalidate(&first);
    round_trip(&store(&cache), "object").await.unwrap();
    assert_eq!(aws.issuer().counts().sessions, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_during_an_outage_within_the_lifetime_of_a_session() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let load = Load::new(&cache);
    load.round().await;
    aws.clock.advance(UNTIL_REFRESH);
    aws.issuer().fail(Fault::Down);
    let advance_under_load = async |step: Duration| {
        load.round().await;
        // Otherwise the step could time out a fetch that a slow machine has not finished.
        wait_until(|| cache.cache().status().fetch == FetchState::Idle).await;
        aws.clock.advance(step);
    };
    for _ in 0..13 {
        advance_under_load(MINUTE).await;
    }
    let status = cache.cache().status();
    assert!(status.failures > 0 && status.generation == 1, "{status:?}");

    // The session has one minute left.
    aws.issuer().clear_fault();
    while cache.cache().status().generation == 1 {
        advance_under_load(5 * SECOND).await;
    }
    load.round().await;
    let s3 = aws.s3().counts();
    assert_eq!((s3.sessions, s3.rejected_in_all()), (2, 0));
}

#[tokio::test]
async fn after_the_expiry_errors_are_immediate_until_the_issuer_recovers() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let store = store(&cache);
    round_trip(&store, "object").await.unwrap();
    aws.issuer().fail(Fault::Status(403)); // the SDK does not retry it
    aws.clock.advance(HOUR + SECOND);
    // The clock does not move during a request, so a request that waited for the backoff would never end.
    let mut from_backoff = 0;
    for _ in 0..240 {
        let error = round_trip(&store, "object").await.unwrap_err().to_string();
        assert_contains(&error, &["AccessDenied"]);
        // The error of a fetch itself does not name the next attempt.
        from_backoff += u32::from(error.contains("next attempt in"));
        aws.clock.advance(SECOND / 4);
    }
    // Of the 240 requests in one minute, at most one per `min_refresh_interval` of one second fetched.
    assert!(from_backoff >= 180, "{from_backoff}");
    assert!(aws.issuer().counts().assume_role <= 61, "{:?}", aws.issuer().counts());

    aws.issuer().clear_fault();
    let cleared = aws.clock.wall();
    while round_trip(&store, "object").await.is_err() {
        aws.clock.advance(SECOND / 4);
    }
    // The backoff is at most 10 % of the minute that the issuer has been failing, and at least five seconds.
    let recovered_after = aws.clock.wall().duration_since(cleared).unwrap();
    assert!(recovered_after <= 7 * SECOND, "{recovered_after:?}");
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test]
async fn a_metadata_service_that_is_down_is_an_error_and_not_the_last_session() {
    let aws = TestAws::start().await;
    let mut env = aws.imds_env();
    env.push(("ISSUER", aws.issuer().imds_endpoint()));
    let outage = async {
        wait_until(|| aws.s3().counts().requests > 0).await;
        aws.issuer().fail(Fault::Down);
    };
    let (error, ()) = tokio::join!(child_report("outages::child_outlives_its_metadata_service", env), outage);
    // A provider of the SDK that is kept returns the last session again.
    assert!(error.starts_with("Source"), "{error}");
    assert!(error.contains("metadata") || error.contains("IMDS"), "{error}");
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_outlives_its_metadata_service() {
    let cache = AwsTokenCache::from_env().await;
    round_trip(&store(&cache), "object").await.unwrap();
    let issuer = std::env::var("ISSUER").unwrap();
    while reqwest::get(&issuer).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Within one second of the first fetch, the `min_refresh_interval`, this returns the session of that fetch.
    let error = loop {
        match cache.cache().refresh().await {
            Ok(_) => tokio::time::sleep(SECOND / 10).await,
            Err(error) => break error,
        }
    };
    report_error(&error);
}
