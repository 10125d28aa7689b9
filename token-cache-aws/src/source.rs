//! [`SdkSource`]: a credentials provider of the SDK as a [`TokenSource`].

mod issued;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::SdkConfig;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent};

use crate::error::{ConfigError, FetchError};
pub(crate) use crate::source::issued::into_token;
#[cfg(feature = "chain")]
pub(crate) use crate::source::issued::is_printable;

/// Any credentials provider of the SDK as a [`TokenSource`].
///
/// The SDK's providers do not cache: each `provide_credentials` calls STS or a metadata service, or starts a process.
/// Each fetch calls it once.
#[derive(Clone)]
pub struct SdkSource {
    provider: SharedCredentialsProvider,
    /// The role that the provider assumes, for error messages.
    role: Option<Arc<str>>,
}

impl SdkSource {
    /// The credentials of `provider`, with the expiry it states. Credentials without an expiry are kept until they are
    /// invalidated.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self { provider: SharedCredentialsProvider::new(provider), role: None }
    }

    /// The credentials provider of `config`.
    ///
    /// # Errors
    ///
    /// If `config` has no credentials provider.
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        config.credentials_provider().map(Self::new).ok_or(ConfigError)
    }

    #[cfg(feature = "chain")]
    pub(crate) fn for_role(provider: impl ProvideCredentials + 'static, arn: &str) -> Self {
        Self { role: Some(arn.into()), ..Self::new(provider) }
    }
}

// Leaves out the provider, whose `Debug` may show an access key.
impl fmt::Debug for SdkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkSource").field("role", &self.role).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for SdkSource {
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let result = self.provider.provide_credentials().await;
        result.and_then(into_token).map_err(|error| into_fetch_error(error, self.role.clone()))
    }
}

/// An invalid configuration is a permanent error: the cache backs off longer.
pub(crate) fn into_fetch_error(error: CredentialsError, role: Option<Arc<str>>) -> BoxError {
    match error {
        CredentialsError::InvalidConfiguration(_) => permanent(FetchError::new(error, role)),
        _ => FetchError::new(error, role).into(),
    }
}
