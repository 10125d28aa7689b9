//! [`SdkSource`]: the SDK's credential providers as a source of tokens.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent};

use crate::error::{ConfigError, FetchError};

/// Any of the SDK's credential providers as a [`TokenSource`].
///
/// The providers that the SDK gives out do not cache: each call of `provide_credentials` is one to STS, to a metadata
/// service, or of a process. This is what a cache goes on top of, and one fetch is one call.
#[derive(Clone)]
pub struct SdkSource {
    provider: SharedCredentialsProvider,
}

impl SdkSource {
    /// The credentials of `provider`, with its own word on when they expire. Those without expiry are kept until they
    /// are invalidated.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self { provider: SharedCredentialsProvider::new(provider) }
    }

    /// The credentials provider of `config`.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        config.credentials_provider().map(Self::new).ok_or(ConfigError)
    }
}

// Not the provider's own, which may show an access key.
impl fmt::Debug for SdkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkSource").finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for SdkSource {
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let credentials = self.provider.provide_credentials().await.map_err(|error| match error {
            CredentialsError::InvalidConfiguration(_) => permanent(FetchError::new(error)),
            _ => FetchError::new(error).into(),
        })?;
        Ok(match credentials.expiry() {
            Some(expires_at) => TemporaryToken::new(credentials, expires_at),
            None => TemporaryToken::never_expires(credentials),
        })
    }
}

/// The SDK's defaults, with the timeouts that suit a cache: 60 s an operation, 5 s an attempt.
///
/// The place to choose a profile or a region by hand:
///
/// ```no_run
/// # async fn example() -> Result<(), token_cache_aws::ConfigError> {
/// let config = token_cache_aws::defaults().profile_name("analytics").load().await;
/// let aws = token_cache_aws::AwsTokenCache::from_sdk_config(&config)?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn defaults() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(OPERATION_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts)
}

/// For a call with all its retries. A fetch, which may be several calls, gets no longer.
pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// For one try. STS and the metadata services answer within a second or are not well.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
