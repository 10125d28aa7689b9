//! DataFusion Comet: `CachedAwsCredentialProvider` of `native/core/src/parquet/objectstore/s3.rs`, on object_store 0.13.
//!
//! `build_credential_provider` calls this for the default chain, for web identity, and for a role that is assumed from there.
//! The one cache lives as long as any store has it, and Comet keeps its stores.
//!
//! The old one was made anew for each store, so each bucket of an executor called STS by itself. And:
//!
//! - In the last five minutes no request waited for another: all that came before the refresh was done called the issuer too.
//! - If that failed, the request failed, although the credentials were valid.
//! - Executors that had started together refreshed in the same second.
//! - An identity that is half configured gave way to the node's own, without a word. The Iceberg reader, which has another
//!   chain, did that for a throttled STS as well: most of a job's executors then read as somebody who may not, and it died.

use token_cache_aws::{AssumeRole, AwsTokenCache, IdentitySpec, Registry, RegistryFull};

/// The one cache of this process for the identity of the environment, or for a role that it assumes: never another's.
///
/// # Errors
///
/// If the process has too many roles in use.
pub async fn credentials(role_arn: Option<&str>, session_name: Option<&str>) -> Result<AwsTokenCache, RegistryFull> {
    let own = IdentitySpec::from_env();
    let principal = match role_arn {
        Some(arn) => own.assume_role(AssumeRole::new(arn).session_name(session_name.unwrap_or("comet-parquet-s3"))),
        None => own,
    };
    Registry::process().get(&principal).await
}
