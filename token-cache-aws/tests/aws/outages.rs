//! Rotation under load, and issuers that are not well.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use token_cache_core::ErrorKind;
use token_cache_testing::aws::Fault;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_on_through_rotations_with_one_call_to_the_issuer_each() {
    let aws = aws_with_sessions_of(2 * SECOND).await;
    aws.issuer().set_delay(SECOND / 5);
    let cache = cache_of(&aws, |cache| cache.jitter(0.0)).await;
    let (store, done) = (shared(store(&cache)), shared(AtomicBool::new(false)));
    let load = all(16, |n| {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        Box::pin(async move {
            while !done.load(Ordering::Relaxed) {
                round_trip(&store, &format!("object-{n}")).await.unwrap();
            }
        })
    });
    let stop = async {
        tokio::time::sleep(7 * SECOND).await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, stop);

    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!((5..=8).contains(&s3.sessions), "{} sessions", s3.sessions);
    assert_eq!(issuer.assume_role, issuer.sessions);
    assert!(issuer.sessions <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
}

#[tokio::test]
async fn p03_whatever_the_issuer_answers_a_good_session_stays() {
    let faults = [Fault::Down, Fault::Garbage, Fault::Status(503), Fault::Status(403), Fault::Expired];
    for fault in faults {
        let aws = aws_with_sessions_of(60 * SECOND).await;
        // Each refresh is due at once, so that each read meets the fault.
        let cache = cache_of(&aws, |cache| cache.min_refresh_interval(Duration::ZERO)).await;
        let first = cache.get().await.unwrap();
        aws.issuer().fail(fault);
        assert!(cache.cache().refresh().await.is_err(), "{fault:?}");
        assert!(Arc::ptr_eq(&first, &cache.get().await.unwrap()), "{fault:?}");
        round_trip(&store(&cache), "object").await.unwrap();
    }
}

#[tokio::test]
async fn p10_a_hundred_callers_of_a_dead_issuer_share_one_fetch_and_one_error() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().fail(Fault::Status(403)); // which the SDK does not retry
    let cache = cache_of(&aws, |cache| cache).await;
    let errors = all(100, |_| {
        let cache = cache.clone();
        Box::pin(async move { cache.get().await.unwrap_err() })
    });
    for error in errors.await {
        assert_eq!(error.kind(), ErrorKind::Source);
    }
    assert_eq!(aws.issuer().counts().assume_role, 1);
}

#[tokio::test]
async fn p11_an_answer_that_says_ok_and_has_expired_is_a_failed_fetch() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().fail(Fault::Expired);
    let cache = cache_of(&aws, |cache| cache).await;
    assert_eq!(cache.get().await.unwrap_err().kind(), ErrorKind::AlreadyExpired);
    assert_eq!(aws.s3().counts().requests, 0);
}

#[tokio::test]
async fn p15_a_session_that_s3_rejects_is_invalidated_and_replaced() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let cache = cache_of(&aws, |cache| cache.min_refresh_interval(Duration::ZERO)).await;
    let first = cache.get().await.unwrap();
    cache.cache().invalidate(&first);
    round_trip(&store(&cache), "object").await.unwrap();
    assert_eq!(aws.issuer().counts().sessions, 2);
}
