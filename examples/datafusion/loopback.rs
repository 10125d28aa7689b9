//! AWS on loopback, and a cache for a role.

use std::time::Duration;

use anyhow::Result;
use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use aws_types::region::Region;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, credential_cache};
use token_cache_testing::aws::FakeAws;

use crate::dataset::BUCKET;

/// Starts S3 with an empty bucket, and an issuer whose sessions last `session_lifetime`.
pub(crate) async fn start(session_lifetime: Duration) -> Result<FakeAws> {
    let fake_aws = FakeAws::builder().session_lifetime(session_lifetime).start().await?;
    fake_aws.s3().create_bucket(BUCKET)?;
    Ok(fake_aws)
}

/// Creates an empty cache for a role. Each fetch is one `AssumeRole` call, signed with the long-term key.
pub(crate) async fn role_cache(fake_aws: &FakeAws, min_refresh_interval: Duration) -> AwsTokenCache {
    // `defaults` would also read the environment.
    let config = |url| SdkConfig::builder().region(Region::new(fake_aws.region().to_owned())).endpoint_url(url).build();
    let key = fake_aws.long_term_key();
    let key = Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "FakeAws");
    let user =
        AwsTokenCache::new(credential_cache(SdkSource::new(key)).build(), &config(fake_aws.issuer().sts_endpoint()));
    let role = AssumeRole::new("arn:aws:iam::123456789012:role/reader").source(&user).await;
    let cache = credential_cache(role).min_refresh_interval(min_refresh_interval).build();
    AwsTokenCache::new(cache, &config(fake_aws.s3().endpoint()))
}
