//! Restate: `AwsSdkCredentialsProvider` of `crates/object-store-util/src/lib.rs`, and what chooses between a profile, the
//! environment and keys of its own in `create_object_store_client`, on object_store 0.13.
//!
//! What follows there stays: the user's endpoint and keys, the bucket, the retries. A role is a profile's `role_arn`.
//!
//! The old one put the SDK's own cache under object_store. That is made for the SDK's clients, so it took components of a
//! run time that the SDK has for tests only. And:
//!
//! - It refreshed five to ten seconds before the expiry, while the requests waited.
//! - A refresh that failed then failed the requests, although the credentials were valid: they had been dropped before.
//! - What was signed eleven seconds before the expiry was retried for longer than that, with the same credentials.

use anyhow::Context;
use object_store_0_13::aws::AmazonS3Builder;
use token_cache_aws::AwsTokenCache;

use crate::theirs::ObjectStoreOptions;

/// A builder with the region and, unless Restate has keys of its own, with the credentials and the endpoint they are for.
///
/// # Errors
///
/// If no region is known.
pub async fn s3_builder(options: &ObjectStoreOptions) -> anyhow::Result<AmazonS3Builder> {
    let aws = match &options.aws_profile {
        Some(profile) => AwsTokenCache::from_profile(profile).await,
        None => AwsTokenCache::from_env().await,
    };
    let region = options.aws_region.as_deref().or_else(|| aws.region()).context("no region is configured for S3")?;
    let has_keys = options.aws_profile.is_none() && options.aws_access_key_id.is_some();
    let builder = AmazonS3Builder::new();
    let builder = if has_keys { builder } else { aws.configure(builder) };
    Ok(builder.with_region(region))
}
