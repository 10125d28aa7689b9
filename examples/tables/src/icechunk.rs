//! Icechunk stores its credentials together with its configuration, so they have to be serializable. A cache is not: a storage
//! that is read back needs a new one. That rule, and its own type of credentials, are why this adapter is longer than the others.

use async_trait::async_trait;
use icechunk::config::{S3CredentialsFetcher, S3StaticCredentials};
use serde::{Deserialize, Serialize};
use token_cache_aws::AwsTokenCache;

/// For `S3Credentials::Refreshable`. Icechunk calls it for the cache of its SDK client, which keeps credentials until shortly
/// before they expire.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fetcher {
    #[serde(skip)]
    aws: Option<AwsTokenCache>,
}

impl Fetcher {
    /// Fetches from this cache.
    #[must_use]
    pub const fn new(aws: AwsTokenCache) -> Self {
        Self { aws: Some(aws) }
    }
}

#[async_trait]
#[typetag::serde]
impl S3CredentialsFetcher for Fetcher {
    async fn get(&self) -> Result<S3StaticCredentials, String> {
        let aws = self.aws.as_ref().ok_or("a storage that was deserialized has no credentials: create it anew")?;
        let credentials = aws.get().await.map_err(|error| error.to_string())?;
        Ok(S3StaticCredentials {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().map(ToOwned::to_owned),
            expires_after: credentials.expiry().map(Into::into),
        })
    }
}
