//! Real clients, pointed at the kit.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::path::Path;
use object_store::{CredentialProvider, ObjectStoreExt, RetryConfig};
use token_cache_testing::aws::{AccessKey, FakeAws};

pub(crate) const BUCKET: &str = "bucket";

pub(crate) async fn kit(session_lifetime: Duration) -> FakeAws {
    let aws = FakeAws::builder().session_lifetime(session_lifetime).start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    aws
}

pub(crate) fn builder(aws: &FakeAws) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_endpoint(aws.s3().endpoint())
        .with_allow_http(true)
        .with_region(aws.region())
        .with_bucket_name(BUCKET)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
}

pub(crate) fn store(aws: &FakeAws, id: &str, secret: &str, token: Option<&str>) -> AmazonS3 {
    let builder = builder(aws).with_access_key_id(id).with_secret_access_key(secret);
    match token {
        Some(token) => builder.with_token(token),
        None => builder,
    }
    .build()
    .unwrap()
}

pub(crate) fn store_of(aws: &FakeAws, key: &AccessKey) -> AmazonS3 {
    store(aws, key.access_key_id(), key.secret_access_key(), key.session_token())
}

/// Writes and reads one object.
pub(crate) async fn works(store: &AmazonS3) {
    let path = Path::from("works");
    store.put(&path, "content".into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "content");
}

/// The status and the S3 code that a read is refused with.
pub(crate) async fn refusal(store: &AmazonS3) -> (u16, String) {
    refused(&store.get(&Path::from("works")).await.unwrap_err())
}

pub(crate) fn refused(error: &object_store::Error) -> (u16, String) {
    let text = format!("{error:?}");
    let after = |before| text.split_once(before).map(|(_, rest)| rest);
    let status = after("status: ").and_then(|rest| rest.get(..3)?.parse().ok());
    let code = after("<Code>").and_then(|rest| rest.split_once("</Code>"));
    match (status, code) {
        (Some(status), Some((code, _))) => (status, code.to_owned()),
        _ => panic!("no refusal: {text}"),
    }
}

/// Waits until a session is over, and not a moment longer than needed.
pub(crate) async fn until(end: SystemTime) {
    if let Ok(rest) = end.duration_since(SystemTime::now()) {
        tokio::time::sleep(rest + Duration::from_millis(2)).await;
    }
}

/// A session works now, and is refused as expired once it is over.
pub(crate) async fn works_until(store: &AmazonS3, end: SystemTime) {
    works(store).await;
    until(end).await;
    assert_eq!(refusal(store).await, (400, "ExpiredToken".into()));
}

/// Credentials that a test changes under a store's hands.
#[derive(Debug)]
pub(crate) struct Changing(Mutex<Arc<AwsCredential>>);

impl Changing {
    pub(crate) fn new(key: &AccessKey) -> Self {
        Self(Mutex::new(credential(key)))
    }

    pub(crate) fn change(&self, key: &AccessKey) {
        *self.0.lock().unwrap() = credential(key);
    }
}

#[async_trait::async_trait]
impl CredentialProvider for Changing {
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
