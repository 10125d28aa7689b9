//! The crate without an HTTP client.

#![cfg(all(feature = "chain", not(any(feature = "https", feature = "https-ring"))))]
#![allow(clippy::unwrap_used, reason = "tests")]

use aws_credential_types::Credentials;
use token_cache_aws::{AssumeRole, AwsTokenCache, defaults};

#[tokio::test]
async fn without_an_http_client_the_error_names_the_feature() {
    let key = Credentials::new("key", "secret", None, None, "test");
    let config = defaults().region("us-east-1").credentials_provider(key).load().await;
    let base = AwsTokenCache::from_sdk_config(&config).unwrap();
    assert_eq!(base.get().await.unwrap().access_key_id(), "key");
    let role = base.assume_role(&AssumeRole::new("arn:aws:iam::123456789012:role/reader")).await;
    let error = role.get().await.unwrap_err().to_string();
    for part in ["role/reader", "without an HTTP client", "`https`", "http_client"] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}
