//! The cache as a credentials provider of the AWS SDK.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use token_cache_core::{Error, ErrorKind};

use crate::cache::AwsTokenCache;
use crate::error::is_no_credentials;

/// Returns the credentials with their real expiry. The cache's error is the source of the SDK's error.
///
/// The SDK's clients put their own cache in front of every provider. It keeps credentials until ten seconds before
/// they expire, even if a service has rejected them. `AwsTokenCache::sdk_config` returns a configuration without that
/// cache.
impl ProvideCredentials for AwsTokenCache {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.get().await {
                Ok(credentials) => Ok((*credentials).clone()),
                Err(error) => Err(into_credentials_error(error)),
            }
        })
    }
}

pub(crate) fn into_credentials_error(error: Error) -> CredentialsError {
    match error.kind() {
        ErrorKind::Permanent => CredentialsError::invalid_configuration(error),
        _ if is_no_credentials(&error) => CredentialsError::not_loaded(error),
        _ => CredentialsError::provider_error(error),
    }
}

#[cfg(feature = "chain")]
impl AwsTokenCache {
    /// The configuration for the SDK's clients: the loaded one, with its region and endpoint, and this cache as the
    /// credentials provider.
    ///
    /// The clients get credentials from this cache for each request and do not keep them, so no client continues to use
    /// a token that was replaced or rejected.
    ///
    /// ```no_run
    /// # async fn example() {
    /// let aws = token_cache_aws::AwsTokenCache::from_env().await;
    /// let config = aws.sdk_config(); // for aws_sdk_dynamodb::Client::new(&config) and others
    /// # }
    /// ```
    #[must_use]
    pub fn sdk_config(&self) -> aws_types::SdkConfig {
        self.config()
            .to_builder()
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(self.clone()))
            .identity_cache(aws_config::identity::IdentityCache::no_cache())
            .build()
    }
}
