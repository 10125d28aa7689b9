//! Workers that write and read while the credentials rotate.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{RetryConfig, client::HttpConnector};
use token_cache_aws::AwsTokenCache;
use token_cache_aws::token_cache_core::FetchState;
use token_cache_test_support::{round_trips, wait_until};

use crate::ROTATIONS;

pub(crate) const BUCKET: &str = "bucket";

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) operations: u64,
    /// Sessions after the first.
    pub(crate) rotations: u64,
}

/// A store that does not retry, so that each rejected request is an error.
pub(crate) fn store(aws: &AwsTokenCache) -> AmazonS3 {
    configure(aws).build().unwrap()
}

/// The same, with another HTTP client.
pub(crate) fn store_with_connector(aws: &AwsTokenCache, connector: impl HttpConnector) -> AmazonS3 {
    configure(aws).with_http_connector(connector).build().unwrap()
}

fn configure(aws: &AwsTokenCache) -> AmazonS3Builder {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    aws.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).with_retry(retry)
}

/// Writes and reads until the credentials have rotated [`ROTATIONS`] times. No request may fail.
pub(crate) async fn through_rotations(aws: &AwsTokenCache) -> Outcome {
    until(aws, wait_until("rotations", async || aws.cache().status().generation > ROTATIONS)).await
}

/// The same while the sessions are too long to rotate by themselves.
pub(crate) async fn through_refreshes(aws: &AwsTokenCache) -> Outcome {
    // Within the pacing, a refresh returns the session there is.
    let refresh = async || {
        aws.cache().refresh().await.unwrap();
        aws.cache().status().generation > ROTATIONS
    };
    until(aws, wait_until("refreshes", refresh)).await
}

/// Writes and reads without any rotation.
pub(crate) async fn without_rotations(aws: &AwsTokenCache) -> Outcome {
    let load = round_trips(store(aws), WORKERS);
    let operations = load.operations();
    let report = load.run_until(wait_until("operations", async || operations.count() >= 100)).await;
    Outcome { operations: report.assert_no_failures(), rotations: aws.cache().status().generation - 1 }
}

async fn until(aws: &AwsTokenCache, end: impl Future<Output = ()>) -> Outcome {
    let report = round_trips(store(aws), WORKERS).run_until(end).await;
    let operations = report.assert_no_failures();
    wait_for_fetch(aws).await;
    Outcome { operations, rotations: aws.cache().status().generation - 1 }
}

/// Waits for the end of a fetch that a reader may have started, because the issuer counts it too.
pub(crate) async fn wait_for_fetch(aws: &AwsTokenCache) {
    wait_until("the end of the fetch", async || aws.cache().status().fetch == FetchState::Idle).await;
}

const WORKERS: usize = 8;
