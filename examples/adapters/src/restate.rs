//! Restate, on object_store 0.13: `AwsSdkCredentialsProvider` of `crates/object-store-util/src/lib.rs`, and the choice between a
//! profile, the environment and configured keys in `create_object_store_client`.
//!
//! The code after that choice does not change: the user's endpoint and keys, the bucket, the retries. To assume a role, set
//! `role_arn` in a profile.
//!
//! The original puts the SDK's identity cache under object_store. That cache is made for the SDK's own clients, so the original
//! builds on a constructor of the SDK that is meant for tests, `RuntimeComponentsBuilder::for_tests`. Its other problems:
//!
//! - It refreshes 5 to 10 seconds before the expiry, and requests wait for the refresh.
//! - If that refresh fails, the requests fail, because the valid credentials have already been dropped.
//! - A request signed 11 seconds before the expiry is retried with the same credentials after they have expired.
//!
//! The original was introduced in <https://github.com/restatedev/restate/pull/2771>.

use anyhow::Context;
use object_store_0_13::aws::AmazonS3Builder;
use token_cache_aws::AwsTokenCache;

use crate::upstream::ObjectStoreOptions;

/// Creates a builder with the region and, unless Restate has configured keys, with credentials and their endpoint.
///
/// # Errors
///
/// If no region is configured.
pub async fn s3_builder(options: &ObjectStoreOptions) -> anyhow::Result<AmazonS3Builder> {
    let aws = match &options.aws_profile {
        Some(profile) => AwsTokenCache::from_profile(profile).await,
        None => AwsTokenCache::from_env().await,
    };
    let region = options.aws_region.as_deref().or_else(|| aws.region()).context("no AWS region is configured")?;
    let has_keys = options.aws_profile.is_none() && options.aws_access_key_id.is_some();
    let builder = AmazonS3Builder::new();
    let builder = if has_keys { builder } else { aws.configure(builder) };
    Ok(builder.with_region(region))
}
