//! DataFusion Comet: `CachedAwsCredentialProvider` of `native/core/src/parquet/objectstore/s3.rs`, on object_store 0.13.
//!
//! `build_credential_provider` calls this function for the default chain, for web identity, and for a role assumed with either.
//! A cache lives while a store uses it, and for one hour after its last lookup.
//!
//! The original creates a cache per store, so an executor calls STS for each bucket. Its other problems:
//!
//! - In the last 5 minutes requests do not share a refresh: every request that arrives before it is done also calls the issuer.
//! - If that call fails, the request fails, although the stored credentials are valid.
//! - There is no jitter: executors that start together refresh in the same second.
//! - An incomplete configuration silently falls back to the role of the node. The Iceberg reader, which has its own chain, also
//!   does so when STS throttles. Most executors of a job then read with an identity that has no access, and the job fails:
//!   <https://github.com/apache/datafusion-comet/issues/6024>.

use token_cache_aws::{AssumeRole, AwsTokenCache, IdentitySpec, Registry, RegistryError};

/// Returns the process-wide cache for the identity of the environment, or for a role assumed with it. It never falls back to
/// another identity.
///
/// # Errors
///
/// If the process uses too many identities at once.
pub async fn credentials(role_arn: Option<&str>, session_name: Option<&str>) -> Result<AwsTokenCache, RegistryError> {
    let base = IdentitySpec::from_env();
    let identity = match role_arn {
        Some(arn) => base.assume_role(AssumeRole::new(arn).session_name(session_name.unwrap_or("comet-parquet-s3"))),
        None => base,
    };
    Registry::process().get(&identity).await
}
