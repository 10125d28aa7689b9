//! Promise 22 for the types of this crate.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::Credentials;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, credential_cache};
use token_cache_test_support::TraceLog;
use token_cache_testing::aws::{FakeAws, Fault};

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

/// What a subscriber at `TRACE` gets to see: every crate logs there, also the AWS SDK. SECURITY.md names those that show secrets.
#[tokio::test]
async fn p22_this_crate_logs_no_secret_at_trace_and_the_sdk_only_what_is_documented() {
    let aws = FakeAws::builder().start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    let log = TraceLog::start();
    let credentials = {
        let base = AwsTokenCache::from_sdk_config(&aws.sdk_config()).unwrap();
        let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").external_id("CanaryExternalId");
        let cache = credential_cache(role.source(&base).await).min_refresh_interval(Duration::ZERO).build();
        let cache = AwsTokenCache::new(cache, &aws.sdk_config());
        round_trip(&store(&cache), "object").await.unwrap();
        let credentials = cache.get().await.unwrap();
        // A failure, whose response the SDK logs.
        aws.issuer().fail(Fault::Status(403));
        cache.cache().refresh().await.unwrap_err();
        credentials
    };
    let secrets = [
        credentials.secret_access_key(),
        credentials.session_token().unwrap(),
        aws.long_term_key().secret_access_key(),
        "CanaryExternalId",
    ];
    let shown = log.crates_that_show(&secrets, &["TRACE", "token_cache_core", "aws_smithy"]);
    assert!(!shown.iter().any(|target| target.starts_with("token_cache")), "{shown:?}");
    let security = include_str!("../../../SECURITY.md");
    for target in &shown {
        assert!(security.contains(&format!("`{target}`")), "SECURITY.md does not name {target:?}, of {shown:?}");
    }
}
