//! Starts fake AWS, and points object_store at it.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{ClientOptions, CredentialProvider, ObjectStoreExt, RetryConfig};
use token_cache_core::{Clock, SystemClock};
use token_cache_testing::VirtualClock;
use token_cache_testing::aws::{AccessKey, FakeAws, FakeAwsBuilder};

pub(crate) const BUCKET: &str = "bucket";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Fake AWS whose time only the test advances, and an HTTP client for it.
pub(crate) struct TestAws {
    aws: FakeAws,
    pub(crate) clock: VirtualClock,
    pub(crate) http: reqwest::Client,
}

impl Deref for TestAws {
    type Target = FakeAws;

    fn deref(&self) -> &FakeAws {
        &self.aws
    }
}

/// With sessions of one hour, and a bucket.
pub(crate) async fn start() -> TestAws {
    start_with(FakeAws::builder().session_lifetime(HOUR)).await
}

pub(crate) async fn start_with(builder: FakeAwsBuilder) -> TestAws {
    let clock = VirtualClock::new();
    // The SDK compares an expiry from IMDS with the machine's clock. Whole seconds, because expiries are rounded down.
    let since_epoch = SystemClock::new().now().wall().duration_since(UNIX_EPOCH).unwrap();
    clock.set_wall(UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs()));
    let aws = builder.clock(clock.clone()).start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    TestAws { aws, clock, http: reqwest::Client::new() }
}

pub(crate) fn builder(aws: &TestAws) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_http_connector(SharedClient(aws.http.clone()))
        .with_endpoint(aws.s3().endpoint())
        .with_allow_http(true)
        .with_region(aws.region())
        .with_bucket_name(BUCKET)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
}

/// Spares each store a client, which is expensive to build.
#[derive(Debug)]
struct SharedClient(reqwest::Client);

impl HttpConnector for SharedClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

pub(crate) fn store(aws: &TestAws, id: &str, secret: &str, token: Option<&str>) -> AmazonS3 {
    let builder = builder(aws).with_access_key_id(id).with_secret_access_key(secret);
    match token {
        Some(token) => builder.with_token(token),
        None => builder,
    }
    .build()
    .unwrap()
}

pub(crate) fn store_of(aws: &TestAws, key: &AccessKey) -> AmazonS3 {
    store(aws, key.access_key_id(), key.secret_access_key(), key.session_token())
}

/// Writes and reads one object.
pub(crate) async fn assert_works(store: &AmazonS3) {
    let path = Path::from("works");
    store.put(&path, "content".into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "content");
}

/// The status and the S3 code with which a read is rejected.
pub(crate) async fn rejection(store: &AmazonS3) -> (u16, String) {
    rejection_in(&store.get(&Path::from("works")).await.unwrap_err())
}

pub(crate) fn rejection_in(error: &object_store::Error) -> (u16, String) {
    let text = format!("{error:?}");
    let after = |before| text.split_once(before).map(|(_, rest)| rest);
    let status = after("status: ").and_then(|rest| rest.get(..3)?.parse().ok());
    let code = after("<Code>").and_then(|rest| rest.split_once("</Code>"));
    match (status, code) {
        (Some(status), Some((code, _))) => (status, code.to_owned()),
        _ => panic!("not a rejection: {text}"),
    }
}

/// Advances the clock to the announced expiry of a session, which is accepted until then and rejected from then on.
pub(crate) async fn assert_works_until(aws: &TestAws, store: &AmazonS3, expires_at: SystemTime) {
    let millisecond = Duration::from_millis(1);
    aws.clock.set_wall(expires_at - millisecond);
    assert_works(store).await;
    aws.clock.advance(millisecond);
    assert_eq!(rejection(store).await, (400, "ExpiredToken".into()));
}

/// Waits in real time, for what the servers do.
pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) {
    token_cache_test_support::wait_until("the state of the servers", async || condition()).await;
}

/// Credentials that a test can replace while a store uses them.
#[derive(Debug)]
pub(crate) struct ReplaceableCredentials(Mutex<Arc<AwsCredential>>);

impl ReplaceableCredentials {
    pub(crate) fn new(key: &AccessKey) -> Self {
        Self(Mutex::new(credential(key)))
    }

    pub(crate) fn replace(&self, key: &AccessKey) {
        *self.0.lock().unwrap() = credential(key);
    }
}

#[async_trait::async_trait]
impl CredentialProvider for ReplaceableCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Ok(Arc::clone(&self.0.lock().unwrap()))
    }
}

fn credential(key: &AccessKey) -> Arc<AwsCredential> {
    Arc::new(AwsCredential {
        key_id: key.access_key_id().into(),
        secret_key: key.secret_access_key().into(),
        token: key.session_token().map(Into::into),
    })
}
