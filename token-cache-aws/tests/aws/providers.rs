//! The credential providers of object_store.

use std::error::Error;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use object_store::aws::AmazonS3Builder;
use token_cache_aws::{AwsTokenCache, FetchError};
use token_cache_testing::aws::Fault;

use super::harness::*;

#[tokio::test]
async fn two_versions_of_object_store_share_one_cache() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    round_trip(&store(&cache), "from-0-14").await.unwrap();

    use object_store_0_13::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};
    let older = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).build().unwrap();
    let read = older.get(&Path::from("from-0-14")).await.unwrap().bytes().await.unwrap();
    assert_eq!(read, "from-0-14");
    assert_eq!((aws.issuer().counts().sessions, aws.s3().counts().sessions), (1, 1));
}

#[tokio::test]
async fn a_token_is_converted_once_per_version() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let newer: Arc<dyn object_store::CredentialProvider<Credential = _>> = Arc::new(cache.clone());
    let older: Arc<dyn object_store_0_13::CredentialProvider<Credential = _>> = Arc::new(cache.clone());
    let first = (newer.get_credential().await.unwrap(), older.get_credential().await.unwrap());
    let second = (newer.get_credential().await.unwrap(), older.get_credential().await.unwrap());
    assert!(Arc::ptr_eq(&first.0, &second.0) && Arc::ptr_eq(&first.1, &second.1));
    assert_eq!((&first.0.key_id, &first.0.token), (&first.1.key_id, &first.1.token));

    let credentials = cache.get().await.unwrap();
    assert_eq!(first.0.key_id, credentials.access_key_id());
    assert_eq!(first.0.secret_key, credentials.secret_access_key());
    assert_eq!(first.0.token.as_deref(), credentials.session_token());
}

#[tokio::test]
async fn p07_one_hundred_callers_of_an_empty_cache_cost_one_call() {
    let aws = TestAws::start().await;
    aws.issuer().set_delay(SECOND);
    let cache = aws.cache().await;
    let callers = concurrently(100, |_| {
        let cache = cache.clone();
        Box::pin(async move { object_store::CredentialProvider::get_credential(&cache).await.unwrap() })
    });
    let answer = async {
        wait_until(|| aws.issuer().counts().assume_role > 0).await;
        aws.clock.advance(SECOND);
    };
    let (tokens, ()) = tokio::join!(callers, answer);
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
    assert_eq!(aws.issuer().counts().assume_role, 1);
}

#[tokio::test]
async fn any_sdk_provider_can_be_cached() {
    let aws = TestAws::start().await;
    let key = aws.issuer().new_session();
    let token = key.session_token().map(ToOwned::to_owned);
    let provider = Credentials::new(key.access_key_id(), key.secret_access_key(), token, key.expires_at(), "test");
    let cache = AwsTokenCache::from_provider(provider);
    assert_eq!((cache.region(), cache.s3_endpoint_url()), (None, None));
    let store = cache
        .configure(AmazonS3Builder::new().with_bucket_name(BUCKET))
        .with_endpoint(aws.s3().endpoint())
        .with_allow_http(true)
        .build()
        .unwrap();
    round_trip(&store, "object").await.unwrap();
}

#[test]
fn an_sdk_config_without_a_provider_is_an_error_with_a_remedy() {
    let error = AwsTokenCache::from_sdk_config(&SdkConfig::builder().build()).unwrap_err();
    assert_contains(&error.to_string(), &["token_cache_aws::defaults()"]);
}

#[tokio::test]
async fn an_error_of_object_store_contains_the_cause_on_one_line() {
    let aws = TestAws::start().await;
    aws.issuer().fail(Fault::Status(403));
    let cache = aws.cache().await;
    let error = round_trip(&store(&cache), "object").await.unwrap_err();
    let text = error.to_string();
    assert_contains(&text, &["AccessDenied", "next attempt in"]);
    assert!(!text.contains('\n'), "{text}");

    let source = error.source().unwrap();
    let cause: &token_cache_core::Error = source.downcast_ref().expect("the error of the cache");
    assert!(cause.source().unwrap().is::<FetchError>());
}
