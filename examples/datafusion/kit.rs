//! AWS on loopback, and a role there.

use std::time::Duration;

use anyhow::Result;
use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use aws_types::region::Region;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, builder};
use token_cache_testing::aws::FakeAws;

use crate::lake::BUCKET;

/// S3 with an empty bucket, and an issuer of sessions that are refreshed every two seconds, with half of their life left.
pub(crate) async fn start() -> Result<FakeAws> {
    let kit = FakeAws::builder().session_lifetime(Duration::from_secs(4)).start().await?;
    kit.s3().create_bucket(BUCKET)?;
    Ok(kit)
}

/// An empty cache for a role that is assumed with the kit's long-term key. Each of its fetches is one `AssumeRole`.
pub(crate) async fn reader(kit: &FakeAws) -> AwsTokenCache {
    // By hand, and not by `defaults`: the environment is not to have a say.
    let at = |url| SdkConfig::builder().region(Region::new(kit.region().to_owned())).endpoint_url(url).build();
    let key = kit.long_term_key();
    let key = Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "kit");
    let user = AwsTokenCache::new(builder(SdkSource::new(key)).build(), &at(kit.issuer().sts_endpoint()));
    let role = AssumeRole::new("arn:aws:iam::123456789012:role/reader").source(&user).await;
    AwsTokenCache::new(builder(role).build(), &at(kit.s3().endpoint()))
}
