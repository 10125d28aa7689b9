//! The SDK's side: its clients on the same cache.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use token_cache_core::{Error, ErrorKind};

use crate::cache::AwsTokenCache;
use crate::error::is_no_credentials;

/// With the true expiry, and the cache's error as the source of the SDK's.
///
/// The SDK's clients put a cache of their own in front of any provider, which holds on to credentials until ten seconds
/// before their end, also to those that were rejected. `AwsTokenCache::sdk_config` gives a configuration without it.
impl ProvideCredentials for AwsTokenCache {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.get().await {
                Ok(credentials) => Ok((*credentials).clone()),
                Err(error) => Err(in_the_sdks_words(error)),
            }
        })
    }
}

fn in_the_sdks_words(error: Error) -> CredentialsError {
    match error.kind() {
        ErrorKind::Permanent => CredentialsError::invalid_configuration(error),
        _ if is_no_credentials(&error) => CredentialsError::not_loaded(error),
        _ => CredentialsError::provider_error(error),
    }
}

#[cfg(feature = "chain")]
impl AwsTokenCache {
    /// The configuration for the SDK's clients: region, endpoint and all else as it was loaded, with these credentials.
    ///
    /// The clients ask this cache for each request, and keep no credentials themselves, so a token that was replaced or
    /// rejected is gone for all of them at once.
    ///
    /// ```no_run
    /// # async fn example() {
    /// let aws = token_cache_aws::AwsTokenCache::from_env().await;
    /// let sdk = aws.sdk_config(); // for aws_sdk_dynamodb::Client::new(&sdk), aws_sdk_glue::Client::new(&sdk) ...
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
