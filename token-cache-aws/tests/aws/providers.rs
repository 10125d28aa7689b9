//! What object_store is given.

use super::*;

#[tokio::test]
async fn two_versions_of_object_store_work_over_one_cache() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let cache = cache_of(&aws, |cache| cache).await;
    round_trip(&store(&cache), "from-0-14").await.unwrap();

    use object_store_0_13::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};
    let older = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).build().unwrap();
    let read = older.get(&Path::from("from-0-14")).await.unwrap().bytes().await.unwrap();
    assert_eq!(read, "from-0-14");
    assert_eq!((aws.issuer().counts().sessions, aws.s3().counts().sessions), (1, 1));
}

#[tokio::test]
async fn a_token_is_converted_once_for_all_callers_of_a_version() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let cache = cache_of(&aws, |cache| cache).await;
    let newer: Arc<dyn object_store::CredentialProvider<Credential = _>> = Arc::new(cache.clone());
    let older: Arc<dyn object_store_0_13::CredentialProvider<Credential = _>> = Arc::new(cache.clone());
    let first = (newer.get_credential().await.unwrap(), older.get_credential().await.unwrap());
    let again = (newer.get_credential().await.unwrap(), older.get_credential().await.unwrap());
    assert!(Arc::ptr_eq(&first.0, &again.0) && Arc::ptr_eq(&first.1, &again.1));
    assert_eq!((&first.0.key_id, &first.0.token), (&first.1.key_id, &first.1.token));

    let credentials = cache.get().await.unwrap();
    assert_eq!(first.0.key_id, credentials.access_key_id());
    assert_eq!(first.0.secret_key, credentials.secret_access_key());
    assert_eq!(first.0.token.as_deref(), credentials.session_token());
}

#[tokio::test]
async fn p07_a_hundred_callers_of_an_empty_cache_cost_one_call_to_the_issuer() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().set_delay(SECOND / 10);
    let cache = cache_of(&aws, |cache| cache).await;
    let tokens = all(100, |_| {
        let cache = cache.clone();
        Box::pin(async move { object_store::CredentialProvider::get_credential(&cache).await.unwrap() })
    })
    .await;
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
    assert_eq!(aws.issuer().counts().assume_role, 1);
}

#[tokio::test]
async fn any_provider_of_the_sdk_will_do() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let key = aws.issuer().new_session();
    let token = key.session_token().map(ToOwned::to_owned);
    let fixed = Credentials::new(key.access_key_id(), key.secret_access_key(), token, key.expires_at(), "test");
    let cache = AwsTokenCache::from_provider(fixed);
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
fn an_sdk_config_without_a_provider_is_an_error_that_says_what_to_do() {
    let error = AwsTokenCache::from_sdk_config(&SdkConfig::builder().build()).unwrap_err();
    assert!(error.to_string().contains("token_cache_aws::defaults()"), "{error}");
}

#[tokio::test]
async fn an_error_that_object_store_shows_tells_the_cause_on_one_line() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().fail(token_cache_testing::aws::Fault::Status(403));
    let cache = cache_of(&aws, |cache| cache).await;
    let error = round_trip(&store(&cache), "object").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("AccessDenied") && text.contains("next attempt in"), "{text}");
    assert!(!text.contains('\n'), "{text}");

    let source = std::error::Error::source(&error).unwrap();
    let cause: &token_cache_core::Error = source.downcast_ref().expect("the cache's own error");
    assert!(std::error::Error::source(cause).unwrap().is::<token_cache_aws::FetchError>());
}
