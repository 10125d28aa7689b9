//! Sessions that end before their stated expiry, on servers with different error codes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use object_store::client::ReqwestConnector;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt};
use token_cache_aws::{AwsTokenCache, credential_cache, defaults};
use token_cache_core::{BoxError, Event, FetchReason, TemporaryToken, TokenSource, async_trait};
use token_cache_testing::aws::AccessKey;

use crate::load::store_with_connector;
use crate::ministack::{self, LIFETIME, User};
use crate::{SECOND, seaweedfs};

/// Performs each operation after the end of a session, on a store that signs rejected requests again.
async fn every_operation(source: impl TokenSource<Token = Credentials>, endpoint: String, lifetime: Duration) {
    let config = defaults().region("us-east-1").endpoint_url(endpoint).no_credentials().load().await;
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let cache = credential_cache(source).on_event({
        let reasons = Arc::clone(&reasons);
        move |event| {
            if let Event::FetchStarted { reason, .. } = event {
                reasons.lock().unwrap().push(*reason);
            }
        }
    });
    let aws = AwsTokenCache::new(cache.build(), &config);
    let store = store_with_connector(&aws, aws.retry_rejected(ReqwestConnector::default()));
    let (path, over) = (Path::from(format!("early/{}", std::process::id())), lifetime + SECOND);
    let text = "written in another session";

    let start = Instant::now();
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
    // One fetch for each session that ended, and none for another reason.
    let reasons = reasons.lock().unwrap();
    assert_eq!(reasons[0], FetchReason::Empty);
    let rejected = [FetchReason::Invalidated, FetchReason::Requested];
    assert!(reasons[1..].iter().all(|reason| rejected.contains(reason)), "{reasons:?}");
    let ended = start.elapsed().as_secs() / lifetime.as_secs();
    assert!((4..=1 + ended).contains(&(reasons.len() as u64)), "{reasons:?} while {ended} sessions ended");
}

/// Declares that its sessions never expire.
struct NeverExpires<F>(F);

#[async_trait]
impl<F, Fut> TokenSource for NeverExpires<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AccessKey> + Send,
{
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let key = (self.0)().await;
        let token = key.session_token().map(ToOwned::to_owned);
        let key = Credentials::new(key.access_key_id(), key.secret_access_key(), token, None, "test");
        Ok(TemporaryToken::never_expires(key))
    }
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn early_ends_on_ministack() {
    let user = Arc::new(User::new("early").await);
    let role = user.role("early", None).await;
    let mint = move || {
        let (user, role) = (Arc::clone(&user), role.clone());
        async move { ministack::mint(&user.key, &role).await }
    };
    every_operation(NeverExpires(mint), ministack::endpoint(), LIFETIME).await;
}

#[tokio::test]
#[ignore = "needs SeaweedFS: tests/third_party/servers"]
async fn early_ends_on_seaweedfs() {
    let _exclusive = seaweedfs::bucket().await;
    every_operation(
        NeverExpires(|| seaweedfs::mint(crate::setting("TOKEN_CACHE_OIDC_KEY"))),
        seaweedfs::endpoint(),
        seaweedfs::LIFETIME,
    )
    .await;
}
