//! Starts fake AWS with a cache and a store, and generates load on them. Only the test advances time.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig as SdkRetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStoreExt, RetryConfig};
use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache};
use token_cache_core::{Clock, SystemClock, TokenCacheBuilder};
use token_cache_test_support::{ChildOutput, ChildProcess, report};
use token_cache_testing::VirtualClock;
use token_cache_testing::aws::{AccessKey, FakeAws};

pub(crate) const BUCKET: &str = "bucket";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Fake AWS with sessions of one hour and a bucket, on the clock of its caches.
pub(crate) struct TestAws {
    aws: FakeAws,
    pub(crate) clock: VirtualClock,
}

impl Deref for TestAws {
    type Target = FakeAws;

    fn deref(&self) -> &FakeAws {
        &self.aws
    }
}

impl TestAws {
    pub(crate) async fn start() -> Self {
        let clock = VirtualClock::new();
        // reqsign and the IMDS provider of the SDK compare expiries with the machine's clock. Whole seconds, because the
        // issuer rounds expiries down.
        let since_epoch = SystemClock::new().now().wall().duration_since(UNIX_EPOCH).unwrap();
        clock.set_wall(UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs()));
        let aws = FakeAws::builder().session_lifetime(HOUR).clock(clock.clone()).start().await.unwrap();
        aws.s3().create_bucket(BUCKET).unwrap();
        Self { aws, clock }
    }

    /// The SDK configuration of a role that is assumed with the long-term key. It retries with almost no backoff and has no
    /// timeouts, so that no result depends on the speed of the machine.
    pub(crate) async fn config(&self) -> SdkConfig {
        let base = token_cache_aws::defaults()
            .region("us-east-1")
            .endpoint_url(self.issuer().sts_endpoint())
            .credentials_provider(credentials(self.long_term_key()))
            .retry_config(SdkRetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .timeout_config(TimeoutConfig::disabled())
            .load()
            .await;
        let role = AssumeRoleProvider::builder("arn:aws:iam::123456789012:role/reader").session_name("tests");
        let provider = SharedCredentialsProvider::new(role.configure(&base).build().await);
        base.into_builder().credentials_provider(provider).endpoint_url(self.s3().endpoint()).build()
    }

    /// A cache of that role with the default settings, but without jitter.
    pub(crate) async fn cache(&self) -> AwsTokenCache {
        self.cache_with(|builder| builder).await
    }

    pub(crate) async fn cache_with(
        &self,
        settings: impl FnOnce(TokenCacheBuilder<Credentials>) -> TokenCacheBuilder<Credentials>,
    ) -> AwsTokenCache {
        let config = self.config().await;
        let builder =
            credential_cache(SdkSource::from_sdk_config(&config).unwrap()).clock(self.clock.clone()).jitter(0.0);
        AwsTokenCache::new(settings(builder).build(), &config)
    }
}

/// The key as credentials without an expiry.
pub(crate) fn credentials(key: &AccessKey) -> Credentials {
    let token = key.session_token().map(ToOwned::to_owned);
    Credentials::new(key.access_key_id(), key.secret_access_key(), token, None, "test")
}

/// A builder for a store of object_store 0.14 that does not retry, so that each rejection is seen.
pub(crate) fn store_builder(cache: &AwsTokenCache) -> AmazonS3Builder {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET).with_retry(retry))
}

pub(crate) fn store(cache: &AwsTokenCache) -> AmazonS3 {
    store_builder(cache).build().unwrap()
}

/// Writes and reads one object.
pub(crate) async fn round_trip(store: &AmazonS3, name: &str) -> object_store::Result<()> {
    let path = Path::from(name);
    store.put(&path, name.to_owned().into()).await?;
    assert_eq!(store.get(&path).await?.bytes().await?, name);
    Ok(())
}

/// Runs `count` tasks concurrently and returns their results in order.
pub(crate) async fn concurrently<T: Send + 'static>(
    count: usize,
    task: impl Fn(usize) -> BoxFuture<'static, T>,
) -> Vec<T> {
    futures::future::join_all((0..count).map(|n| tokio::spawn(task(n)))).await.into_iter().map(Result::unwrap).collect()
}

/// The load generator: eight workers that write and read an object each.
pub(crate) struct Load {
    store: Arc<AmazonS3>,
}

impl Load {
    pub(crate) fn new(cache: &AwsTokenCache) -> Self {
        Self { store: Arc::new(store(cache)) }
    }

    /// Each worker makes one round trip. Time stands still meanwhile, so no request can have waited for the clock.
    pub(crate) async fn round(&self) {
        let results = concurrently(8, |worker| {
            let store = Arc::clone(&self.store);
            Box::pin(async move { round_trip(&store, &format!("object-{worker}")).await })
        });
        for result in results.await {
            result.unwrap();
        }
    }
}

/// Waits in real time, for what other threads do.
pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) {
    token_cache_test_support::wait_until("the state of the cache or of the servers", async || condition()).await;
}

/// The ignored test `child` in a process with this environment. The default chain of the SDK reads the environment of its
/// process, so each test of the chain needs a process.
async fn run_child(child: &str, env: Vec<(&'static str, String)>) -> ChildOutput {
    ChildProcess::test(child).envs(env).run().await
}

pub(crate) async fn child_succeeds(child: &str, env: Vec<(&'static str, String)>) {
    run_child(child, env).await.assert_success();
}

/// What the child has reported, such as an error by [`report_error`].
pub(crate) async fn child_report(child: &str, env: Vec<(&'static str, String)>) -> String {
    run_child(child, env).await.report().to_owned()
}

pub(crate) fn report_error(error: &token_cache_core::Error) {
    report(format_args!("{:?} {error}", error.kind()));
}

pub(crate) fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}
