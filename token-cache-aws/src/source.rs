//! [`SdkSource`]: any of the SDK's credential providers as a source of tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::SdkConfig;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent};

use crate::error::{ConfigError, FetchError};

/// Any of the SDK's credential providers as a [`TokenSource`].
///
/// The providers that the SDK gives out do not cache: each call of `provide_credentials` is one to STS, to a metadata
/// service, or of a process. This is what a cache goes on top of, and one fetch is one call.
#[derive(Clone)]
pub struct SdkSource {
    provider: SharedCredentialsProvider,
    /// The role that the provider assumes, for its errors.
    role: Option<Arc<str>>,
}

impl SdkSource {
    /// The credentials of `provider`, with its own word on when they expire. Those without expiry are kept until they
    /// are invalidated.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self { provider: SharedCredentialsProvider::new(provider), role: None }
    }

    /// The credentials provider of `config`.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        config.credentials_provider().map(Self::new).ok_or(ConfigError)
    }

    #[cfg(feature = "chain")]
    pub(crate) fn of_role(provider: impl ProvideCredentials + 'static, arn: &str) -> Self {
        Self { role: Some(arn.into()), ..Self::new(provider) }
    }
}

// Not the provider's own, which may show an access key.
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
        result.and_then(token).map_err(|error| failure(error, self.role.clone()))
    }
}

/// What an issuer has left out is, to the SDK, an empty text: such credentials are none, and must not replace better ones.
pub(crate) fn token(credentials: Credentials) -> Result<TemporaryToken<Credentials>, CredentialsError> {
    let parts = [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ];
    if let Some((missing, _)) = parts.iter().find(|(_, value)| value.is_some_and(str::is_empty)) {
        let issuer = issuer(&credentials);
        return Err(CredentialsError::provider_error(format!(
            "the credentials of {issuer} came without the {missing}"
        )));
    }
    Ok(match credentials.expiry() {
        Some(expires_at) => TemporaryToken::new(credentials, expires_at),
        None => TemporaryToken::never_expires(credentials),
    })
}

/// Who has given them, by what the SDK notes down.
fn issuer(credentials: &Credentials) -> &'static str {
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    let known = features.iter().find_map(|feature| {
        Some(match feature {
            Feature::CredentialsEnvVars => "the environment",
            Feature::CredentialsHttp => {
                "the container's endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI)"
            }
            Feature::CredentialsImds => "the instance metadata service",
            Feature::CredentialsProcess => "the credential_process",
            Feature::CredentialsSso => "SSO",
            Feature::CredentialsStsAssumeRole | Feature::CredentialsProfileStsWebIdToken => "STS",
            _ => return None,
        })
    });
    // Of a profile's role nothing is noted, but what is issued has an end.
    let is_issued = credentials.expiry().is_some();
    known.unwrap_or(if is_issued { "STS or another issuer" } else { "the profile or provider" })
}

pub(crate) fn failure(error: CredentialsError, role: Option<Arc<str>>) -> BoxError {
    match error {
        CredentialsError::InvalidConfiguration(_) => permanent(FetchError::new(error, role)),
        _ => FetchError::new(error, role).into(),
    }
}

/// For a call with all its retries. A fetch, which may be several calls, gets no longer.
pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
