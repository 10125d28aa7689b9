//! The adapter of Arroyo, used as in the `construct_s3` of its storage.

use std::env::var;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store_0_12::CredentialProvider;
use object_store_0_12::aws::{AmazonS3, AmazonS3Builder};
use token_cache_adapters::arroyo::ArroyoCredentialProvider;
use token_cache_adapters::upstream::StorageError;
use token_cache_test_support::wait_until;
use token_cache_testing::aws::Fault;

use crate::stores::v0_12::{of_bucket, round_trip, use_sessions};
use crate::{SECOND, SESSIONS, SHORT_SESSION, aws_with_sessions_of, run_child, run_concurrently, variable};

/// The code of Arroyo, which only needs the adapter's names and types to be the same.
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
async fn no_request_fails_during_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    run_child("arroyo::child_reads_and_writes", aws.container_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
    assert!(issuer.container <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    use_sessions(construct_s3().await.unwrap(), SESSIONS).await;
}

#[tokio::test]
async fn a_hundred_callers_make_one_call_to_the_issuer() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().set_delay(SECOND / 5);
    run_child("arroyo::child_has_a_hundred_callers", aws.container_env()).await;
    assert_eq!(aws.issuer().counts().container, 1);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_a_hundred_callers() {
    let tokens = run_concurrently(100, |_| async {
        let provider = ArroyoCredentialProvider::try_new().await.unwrap();
        provider.clone().get_credential().await.unwrap()
    });
    let tokens = tokens.await;
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
}

#[tokio::test]
async fn an_outage_past_the_expiry_causes_errors_but_no_panics() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    let signals = tempfile::tempdir().unwrap();
    let mut env = aws.container_env();
    env.push(("SIGNALS", signals.path().to_str().unwrap().to_owned()));
    let outage = async {
        wait_until("requests that succeed", async || signals.path().join(WORKED).exists()).await;
        // The SDK does not retry after this status, so each fetch is one call.
        aws.issuer().fail(Fault::Status(403));
        let before = aws.issuer().counts().container;
        let start = tokio::time::Instant::now();
        wait_until("requests that fail", async || signals.path().join(FAILED).exists()).await;
        let calls = aws.issuer().counts().container - before;
        // There are 50 callers at a time. They share one fetch, and the fetches are paced.
        assert!(calls <= 1 + start.elapsed().as_secs(), "{calls} calls in {:?}", start.elapsed());
        aws.issuer().clear_fault();
    };
    tokio::join!(run_child("arroyo::child_has_an_outage", env), outage);
    let s3 = aws.s3().counts();
    assert_eq!(s3.rejected("ExpiredToken"), s3.rejected_in_all());
    assert!(s3.sessions >= 2, "{} sessions", s3.sessions);
}

// Files by which the child of the test above tells its parent what it has seen.
const WORKED: &str = "worked";
const FAILED: &str = "failed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_has_an_outage() {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICKED.store(true, Ordering::SeqCst);
        default_hook(info);
    }));
    let store = Arc::new(construct_s3().await.unwrap());
    let signals = variable("SIGNALS");
    let signal = |name| fs::write(Path::new(&signals).join(name), "").unwrap();
    let mut failed = false;
    wait_until("requests that succeed again after the outage", async || {
        let results = run_concurrently(50, |n| {
            let store = Arc::clone(&store);
            async move { round_trip(&store, &format!("object-{n}")).await }
        });
        let Some(error) = results.await.into_iter().filter_map(Result::err).last() else {
            signal(WORKED);
            return failed;
        };
        // S3 answers ExpiredToken if a request was signed just before the end of the session.
        let expected = ["next attempt in", "ExpiredToken"];
        assert!(expected.iter().any(|part| error.to_string().contains(part)), "{error}");
        failed = true;
        signal(FAILED);
        false
    })
    .await;
    assert!(!PANICKED.load(Ordering::SeqCst));
}

#[tokio::test]
async fn without_credentials_construction_fails() {
    let env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned()), ("AWS_REGION", "us-east-1".to_owned())];
    run_child("arroyo::child_has_no_credentials", env).await;
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_no_credentials() {
    let error = construct_s3().await.unwrap_err();
    assert!(matches!(&error, StorageError::CredentialsError(text) if text.contains("AWS_ACCESS_KEY_ID")), "{error}");
}
