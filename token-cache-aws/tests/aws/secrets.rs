//! Promise 22 for the types of this crate.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::Credentials;
use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache};
use token_cache_testing::aws::Fault;

use super::harness::*;

#[tokio::test]
async fn p22_nothing_printable_contains_a_part_of_the_credentials() {
    let aws = TestAws::start().await;
    let cache = aws.cache_with(|builder| builder.min_refresh_interval(Duration::ZERO)).await;
    let store = store(&cache);
    round_trip(&store, "object").await.unwrap();
    let credentials = cache.get().await.unwrap();

    let source = SdkSource::new(credentials.as_ref().clone());
    let mut printed = vec![format!("{cache:?} {cache:#?} {:?} {source:?} {store:?}", cache.cache())];
    for fault in [Fault::Garbage, Fault::Expired, Fault::Status(403)] {
        aws.issuer().fail(fault);
        aws.clock.advance(MINUTE);
        let error = cache.cache().refresh().await.unwrap_err();
        printed.push(format!("{error} {error:?} {:?} {:?}", error.source(), cache.cache()));
    }
    let key = aws.long_term_key();
    let secrets = [
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token().unwrap(),
        key.access_key_id(),
        key.secret_access_key(),
    ];
    for text in printed {
        for secret in secrets {
            assert!(!text.contains(secret) && !text.contains(&secret[..12]), "{text}");
        }
    }
}

#[test]
fn debug_hides_the_user_of_the_endpoint() {
    let config = aws_config::SdkConfig::builder().endpoint_url("https://user:hunter2@s3.example.com/").build();
    let cache =
        AwsTokenCache::new(credential_cache(SdkSource::new(Credentials::new("", "", None, None, ""))).build(), &config);
    let printed = format!("{cache:?}");
    assert!(printed.contains("https://***@s3.example.com/") && !printed.contains("hunter2"), "{printed}");
}
