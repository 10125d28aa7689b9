//! As `construct_s3` of Arroyo's storage uses it.

use std::env::var;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store_0_12::CredentialProvider;
use object_store_0_12::aws::{AmazonS3, AmazonS3Builder};
use token_cache_adapters::arroyo::ArroyoCredentialProvider;
use token_cache_adapters::theirs::StorageError;
use token_cache_testing::aws::{Fault, OutageState};

use crate::stores::v0_12::{of_bucket, round_trip, traffic};
use crate::{ROTATIONS, SECOND, SHORT_SESSION, at_once, aws_with_sessions_of, child};

/// Arroyo's own lines: the type's name, the `?` into its error, the provider behind an `Arc`, and the region.
async fn construct_s3() -> Result<AmazonS3, StorageError> {
    let mut builder = AmazonS3Builder::new();
    let credentials: Arc<ArroyoCredentialProvider> = Arc::new(ArroyoCredentialProvider::try_new().await?);
    builder = builder.with_credentials(credentials);
    let default_region = ArroyoCredentialProvider::default_region().await;
    if let Some(region) = &default_region {
        builder = builder.with_region(region);
    }
    if let Ok(endpoint) = var("AWS_ENDPOINT_URL_S3") {
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false).with_allow_http(true);
    }
    Ok(of_bucket(builder))
}

#[tokio::test]
async fn it_reads_and_writes_through_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    child::succeeds("arroyo::child_reads_and_writes", aws.container_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!((3..=6).contains(&s3.sessions), "{} sessions", s3.sessions);
    assert!(issuer.container <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    traffic(construct_s3().await.unwrap(), ROTATIONS).await;
}

#[tokio::test]
async fn a_hundred_callers_cost_one_call_to_the_issuer() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().set_delay(SECOND / 5);
    child::succeeds("arroyo::child_asks_a_hundred_times", aws.container_env()).await;
    assert_eq!(aws.issuer().counts().container, 1);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_asks_a_hundred_times() {
    let tokens = at_once(100, |_| async {
        let provider = ArroyoCredentialProvider::try_new().await.unwrap();
        provider.clone().get_credential().await.unwrap()
    });
    let tokens = tokens.await;
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
}

#[tokio::test]
async fn an_issuer_that_is_down_past_the_expiry_panics_nothing_and_is_asked_once_at_a_time() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    let end = async {
        while aws.issuer().counts().answered == 0 {
            tokio::time::sleep(SECOND / 100).await;
        }
        // It begins with the refresh, half of a session before its end, and is over as much after that. The SDK does not try
        // again after such an answer: one fetch is one call.
        aws.issuer().outage_at_next_request(Fault::Status(403), SHORT_SESSION);
    };
    tokio::join!(child::succeeds("arroyo::child_lives_through_an_outage", aws.container_env()), end);
    assert!(matches!(aws.issuer().outage(), OutageState::Over { .. }), "{:?}", aws.issuer().outage());
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((s3.rejected("ExpiredToken"), s3.sessions), (s3.rejected_in_all(), 2));
    // The first and the last, and of the fifty at a time that came in the three seconds between one a second.
    assert!((4..=6).contains(&issuer.container), "{issuer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_lives_through_an_outage() {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICKED.store(true, Ordering::SeqCst);
        told(info);
    }));
    let store = Arc::new(construct_s3().await.unwrap());
    let phases = tokio::time::timeout(30 * SECOND, async {
        let (mut failed, mut worked_before) = (0, 0);
        loop {
            let store = Arc::clone(&store);
            let results = at_once(50, move |n| {
                let store = Arc::clone(&store);
                async move { round_trip(&store, &format!("object-{n}")).await }
            });
            match results.await.into_iter().filter_map(Result::err).last() {
                None if failed > 0 => return (worked_before, failed),
                None => worked_before += 1,
                Some(error) => {
                    // The second is for what was signed in the last moment of the session.
                    let told = ["next attempt in", "ExpiredToken"];
                    assert!(told.iter().any(|part| error.to_string().contains(part)), "{error}");
                    failed += 1;
                }
            }
            tokio::time::sleep(SECOND / 20).await;
        }
    });
    let (worked_before, failed) = phases.await.expect("requests that work again after the outage");
    assert!(worked_before > 0 && failed > 0, "{worked_before} {failed}");
    assert!(!PANICKED.load(Ordering::SeqCst));
}

#[tokio::test]
async fn without_credentials_it_fails_at_once_and_with_arroyos_own_error() {
    let env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned()), ("AWS_REGION", "us-east-1".to_owned())];
    child::succeeds("arroyo::child_has_no_credentials", env).await;
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_no_credentials() {
    let error = construct_s3().await.unwrap_err();
    assert!(matches!(&error, StorageError::CredentialsError(text) if text.contains("AWS_ACCESS_KEY_ID")), "{error}");
}
