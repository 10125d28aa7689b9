//! datafusion-cli: `CredentialsFromConfig` and `S3CredentialProvider` of `datafusion-cli/src/object_storage.rs`, on
//! object_store 0.13.
//!
//! `get_s3_object_store_builder` calls this where no keys are given, and goes on as before: a region or an endpoint of the
//! user's comes after it and wins, and a region that nobody names is asked of the bucket.
//!
//! The old one did not cache: the SDK's whole chain ran once for each request, with a call to STS, a metadata service or
//! `aws sso`. The first credentials, which it fetched to see whether there are any, were thrown away. Each table began anew.

use object_store_0_13::aws::AmazonS3Builder;
use token_cache_aws::{IdentitySpec, Registry};
use token_cache_core::BoxError;

/// Gives `builder` the credentials and the region of the environment, shared by all tables that are open. Where none are
/// configured, the requests are not signed.
///
/// # Errors
///
/// Credentials that are configured and cannot be had. They do not make a request anonymous.
pub async fn with_credentials(builder: AmazonS3Builder) -> Result<AmazonS3Builder, BoxError> {
    let aws = Registry::process().get(&IdentitySpec::from_env()).await?;
    Ok(aws.configure_or_anonymous(builder).await?)
}
