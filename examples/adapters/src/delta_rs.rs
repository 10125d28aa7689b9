//! delta-rs: `crates/aws/src/credentials.rs`, on object_store 0.13.
//!
//! Replace `AWSForObjectStore::new(resolve_credentials(&options))` by `resolve_credentials(&options)`, which returns the
//! provider. Its `sdk_config()` configures the SDK's clients with the same cache: DynamoDB for the lock of earlier releases,
//! or Glue.
//!
//! The original holds a lock across the fetch, so all requests of a table queue behind one call. Its other problems:
//!
//! - It refreshes after the expiry and not before. S3 rejects requests that are signed just before the expiry.
//! - After a failed refresh the requests in the queue fail one by one, each after its own call.
//! - It assumes the role with the credentials and in the region of the environment, even if the options contain keys.
//! - It writes the access key id to the debug log.
//! - It does not support an external id.

use std::env;

use aws_config::Region;
use aws_config::meta::region::RegionProviderChain;
use aws_credential_types::Credentials;
use object_store_0_13::aws::AmazonS3ConfigKey as Key;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, credential_cache, defaults};

use crate::upstream::StorageOptions;

/// Resolves the credentials for `options`: the keys in the options, or else the credentials of the environment. If a role is
/// configured, it is assumed with them.
pub async fn resolve_credentials(options: &StorageOptions) -> AwsTokenCache {
    let region = RegionProviderChain::first_try(option(options, Key::Region).map(Region::new)).or_default_provider();
    let config = defaults().region(region).load().await;
    let credentials = match keys(options) {
        Some(keys) => credential_cache(SdkSource::new(keys)).build(),
        None => AwsTokenCache::from_env().await.cache().clone(),
    };
    let base = AwsTokenCache::new(credentials, &config);
    match role(options) {
        Some(role) => base.assume_role(&role).await,
        None => base,
    }
}

/// The role that is configured in the options, or else in the environment.
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

/// The value of an option under any of its names in object_store, ignoring case.
fn option(options: &StorageOptions, wanted: Key) -> Option<String> {
    let matches = |name: &String| name.to_lowercase().parse().is_ok_and(|key: Key| key == wanted);
    options.iter().find_map(|(name, value)| matches(name).then(|| value.clone()))
}
