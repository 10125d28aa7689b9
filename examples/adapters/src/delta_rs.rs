//! delta-rs: `crates/aws/src/credentials.rs`, on object_store 0.13.
//!
//! `AWSForObjectStore::new(resolve_credentials(&options))` becomes `resolve_credentials(&options)`: what it gives is the
//! provider. Its `sdk_config()` is for the SDK's clients, on the same cache: the lock in DynamoDB of earlier releases, or Glue.
//!
//! The old one held its lock over the fetch, so that all requests of a table queued behind one call. And:
//!
//! - It refreshed after the expiry and not before, so what was signed in the last moment was refused.
//! - A failed refresh failed each request in the queue, one after the other, each with a call of its own.
//! - A role was assumed with the environment's credentials, even where the options held keys, and in the environment's region.
//! - It wrote the access key id to the debug log.
//! - There was no external id.

use std::env;

use aws_config::Region;
use aws_config::meta::region::RegionProviderChain;
use aws_credential_types::Credentials;
use object_store_0_13::aws::AmazonS3ConfigKey as Key;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, builder, defaults};

use crate::theirs::StorageOptions;

/// The credentials that the options ask for: their keys, or else the environment's, and on top of those the role.
pub async fn resolve_credentials(options: &StorageOptions) -> AwsTokenCache {
    let region = RegionProviderChain::first_try(option(options, Key::Region).map(Region::new)).or_default_provider();
    let config = defaults().region(region).load().await;
    let credentials = match keys(options) {
        Some(keys) => builder(SdkSource::new(keys)).build(),
        None => AwsTokenCache::from_env().await.cache().clone(),
    };
    let base = AwsTokenCache::new(credentials, &config);
    match role(options) {
        Some(role) => base.assume_role(&role).await,
        None => base,
    }
}

/// The role that the options name, or else the environment.
#[must_use]
pub fn role(options: &StorageOptions) -> Option<AssumeRole> {
    let get = |name: &str| options.get(name).cloned().or_else(|| env::var(name).ok());
    let arn = get("AWS_IAM_ROLE_ARN").or_else(|| get("AWS_S3_ASSUME_ROLE_ARN"))?;
    let session = get("AWS_IAM_ROLE_SESSION_NAME").or_else(|| get("AWS_S3_ROLE_SESSION_NAME"));
    let role = AssumeRole::new(arn).session_name(session.unwrap_or_else(|| "delta-rs".to_owned()));
    Some(match get("AWS_IAM_ROLE_EXTERNAL_ID") {
        Some(id) => role.external_id(id),
        None => role,
    })
}

fn keys(options: &StorageOptions) -> Option<Credentials> {
    let (id, secret) = (option(options, Key::AccessKeyId)?, option(options, Key::SecretAccessKey)?);
    Some(Credentials::new(id, secret, option(options, Key::Token), None, "DeltaStorageOptions"))
}

/// By any of the names that object_store knows it by, in whatever case.
fn option(options: &StorageOptions, wanted: Key) -> Option<String> {
    let is_it = |name: &String| name.to_lowercase().parse().is_ok_and(|key: Key| key == wanted);
    options.iter().find_map(|(name, value)| is_it(name).then(|| value.clone()))
}
