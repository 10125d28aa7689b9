//! datafusion-cli: `CredentialsFromConfig` and `S3CredentialProvider` of `datafusion-cli/src/object_storage.rs`, on
//! object_store 0.13.
//!
//! `get_s3_object_store_builder` calls this function if the user gives no keys. What follows there does not change: a region or
//! an endpoint of the user takes precedence, and a region that is not configured is looked up from the bucket.
//!
//! The original does not cache. The SDK's whole chain runs once per request, with a call to STS, a metadata service or
//! `aws sso`. The first credentials are fetched only to see whether there are any, and then dropped. Each table starts over.
//! See <https://github.com/apache/datafusion/issues/23321>.

use object_store_0_13::aws::AmazonS3Builder;
use token_cache_aws::{IdentitySpec, Registry};
use token_cache_core::BoxError;

/// Sets the credentials and the region of the environment on `builder`. All open tables share one cache. If no credentials are
/// configured, requests are not signed.
///
/// # Errors
///
/// If credentials are configured and cannot be fetched. Such an error never makes requests anonymous.
pub async fn with_credentials(builder: AmazonS3Builder) -> Result<AmazonS3Builder, BoxError> {
    let aws = Registry::process().get(&IdentitySpec::from_env()).await?;
    Ok(aws.configure_or_anonymous(builder).await?)
}
