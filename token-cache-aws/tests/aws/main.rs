//! The crate against AWS on loopback: the SDK's real chain on one side, real S3 with real signatures on the other.

#![allow(clippy::unwrap_used, reason = "tests")]

mod chain;
mod identity;
mod outages;
mod providers;
mod rejected;
mod reqsign;
mod secrets;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStoreExt, RetryConfig};
use token_cache_aws::{AwsTokenCache, SdkSource, builder};
use token_cache_core::TokenCacheBuilder;
use token_cache_testing::aws::FakeAws;

const BUCKET: &str = "bucket";
const SECOND: Duration = Duration::from_secs(1);

/// AWS with sessions of this lifetime, and a bucket.
async fn aws_with_sessions_of(lifetime: Duration) -> FakeAws {
    let aws = FakeAws::builder().session_lifetime(lifetime).start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    aws
}

/// What the SDK would load for a role that is assumed with the kit's long-term key.
async fn assumed_role(aws: &FakeAws) -> SdkConfig {
    let key = aws.long_term_key();
    let base = token_cache_aws::defaults()
        .region("us-east-1")
        .endpoint_url(aws.issuer().sts_endpoint())
        .credentials_provider(Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "kit"))
        .load()
        .await;
    let role = aws_config::sts::AssumeRoleProvider::builder("arn:aws:iam::123456789012:role/reader")
        .session_name("tests")
        .configure(&base)
        .build()
        .await;
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(role);
    base.into_builder().credentials_provider(provider).endpoint_url(aws.s3().endpoint()).build()
}

/// The same as a cache, with settings of the test's own.
async fn cache_of(
    aws: &FakeAws,
    setup: impl FnOnce(TokenCacheBuilder<Credentials>) -> TokenCacheBuilder<Credentials>,
) -> AwsTokenCache {
    let config = assumed_role(aws).await;
    AwsTokenCache::new(setup(builder(SdkSource::from_sdk_config(&config).unwrap())).build(), &config)
}

/// A store that does not retry, so that each refusal is seen.
fn store(cache: &AwsTokenCache) -> AmazonS3 {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET).with_retry(retry)).build().unwrap()
}

/// Writes and reads one object.
async fn round_trip(store: &AmazonS3, name: &str) -> object_store::Result<()> {
    let path = Path::from(name);
    store.put(&path, name.to_owned().into()).await?;
    assert_eq!(store.get(&path).await?.bytes().await?, name);
    Ok(())
}

/// All of `tasks` at once.
async fn all<T: Send + 'static>(
    count: usize,
    task: impl Fn(usize) -> futures::future::BoxFuture<'static, T>,
) -> Vec<T> {
    futures::future::join_all((0..count).map(|n| tokio::spawn(task(n)))).await.into_iter().map(Result::unwrap).collect()
}

/// A shared handle for the tasks of a test.
fn shared<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
