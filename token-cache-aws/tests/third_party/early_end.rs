//! Sessions that end before they say so, on servers that answer each in its own way.

use aws_credential_types::Credentials;
use object_store::aws::AmazonS3Builder;
use object_store::client::ReqwestConnector;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, RetryConfig};
use token_cache_aws::{AwsTokenCache, builder, defaults};
use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait};
use token_cache_testing::aws::AccessKey;

use crate::load::BUCKET;
use crate::ministack::{self, LIFETIME, User};
use crate::{SECOND, seaweedfs};

/// Each operation after the end of a session, on a store that signs anew what was rejected.
async fn every_operation(
    source: impl TokenSource<Token = Credentials>,
    endpoint: String,
    lifetime: std::time::Duration,
) {
    let config = defaults().region("us-east-1").endpoint_url(endpoint).no_credentials().load().await;
    let aws = AwsTokenCache::new(builder(source).build(), &config);
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let configured = aws.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).with_retry(retry);
    let store = configured.with_http_connector(aws.retry_rejected(ReqwestConnector::default())).build().unwrap();
    let (path, over) = (Path::from(format!("early/{}", std::process::id())), lifetime + SECOND);
    let text = "written in another session";

    store.put(&path, text.into()).await.unwrap();
    tokio::time::sleep(over).await;
    assert_eq!(store.head(&path).await.unwrap().size, text.len() as u64);
    tokio::time::sleep(over).await;
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), text);
    let large = Path::from(format!("large/{}", std::process::id()));
    let mut upload = store.put_multipart(&large).await.unwrap();
    upload.put_part(vec![1; 5 << 20].into()).await.unwrap();
    tokio::time::sleep(over).await;
    upload.put_part(vec![2; 5 << 20].into()).await.unwrap();
    upload.complete().await.unwrap();
    let read = store.get(&large).await.unwrap().bytes().await.unwrap();
    assert_eq!((read.len(), read[0], read[(10 << 20) - 1]), (10 << 20, 1, 2));
    // One for each end, and no more than these.
    assert_eq!(aws.cache().status().generation, 4);
}

/// Says of each session that it never ends.
struct Lying<F>(F);

#[async_trait]
impl<F, Fut> TokenSource for Lying<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AccessKey> + Send,
{
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let key = (self.0)().await;
        let token = key.session_token().map(ToOwned::to_owned);
        let key = Credentials::new(key.access_key_id(), key.secret_access_key(), token, None, "lying");
        Ok(TemporaryToken::never_expires(key))
    }
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn on_ministack_which_answers_as_aws_does() {
    let user = std::sync::Arc::new(User::new("early").await);
    let role = user.role("early", None).await;
    let mint = move || {
        let (user, role) = (std::sync::Arc::clone(&user), role.clone());
        async move { ministack::mint(&user.key, &role).await }
    };
    every_operation(Lying(mint), ministack::endpoint(), LIFETIME).await;
}

#[tokio::test]
#[ignore = "needs SeaweedFS: tests/third_party/servers"]
async fn on_seaweedfs_which_says_that_it_does_not_know_the_key() {
    let _alone = seaweedfs::bucket().await;
    every_operation(
        Lying(|| seaweedfs::mint(crate::setting("TOKEN_CACHE_OIDC_KEY"))),
        seaweedfs::endpoint(),
        seaweedfs::LIFETIME,
    )
    .await;
}
