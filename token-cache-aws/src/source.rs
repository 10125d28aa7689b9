//! [`SdkSource`]: a credentials provider of the SDK as a [`TokenSource`].

mod issued;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider};
use aws_types::SdkConfig;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent};

use crate::error::{ConfigError, FetchError, Origin};
#[cfg(feature = "chain")]
use crate::role::{Role, is_rejected_by_sts};
#[cfg(feature = "chain")]
pub(crate) use crate::source::issued::into_token;
#[cfg(feature = "chain")]
pub(crate) use crate::source::issued::is_printable;
use crate::source::issued::{DEFAULT_MAX_AGE, into_token_for};

/// Any credentials provider of the SDK as a [`TokenSource`].
///
/// The SDK's providers do not cache: each `provide_credentials` calls STS or a metadata service, or starts a process.
/// Each fetch calls it once.
#[derive(Clone)]
pub struct SdkSource {
    provider: SharedCredentialsProvider,
    max_age: Duration,
    /// The role that the provider assumes.
    #[cfg(feature = "chain")]
    role: Option<Role>,
}

impl SdkSource {
    /// The credentials of `provider`, with the expiry it states. Credentials without an expiry are fetched again after
    /// [`max_age`](Self::max_age).
    ///
    /// ```
    /// # use aws_credential_types::Credentials;
    /// # use token_cache_aws::SdkSource;
    /// let source = SdkSource::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "example"));
    /// ```
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self {
            provider: SharedCredentialsProvider::new(provider),
            max_age: DEFAULT_MAX_AGE,
            #[cfg(feature = "chain")]
            role: None,
        }
    }

    /// The credentials provider of `config`.
    ///
    /// # Errors
    ///
    /// If `config` has no credentials provider.
    ///
    /// ```
    /// # use token_cache_aws::SdkSource;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// let source = SdkSource::from_sdk_config(&config)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        config.credentials_provider().map(Self::new).ok_or(ConfigError)
    }

    /// How long credentials without an expiry are used before they are fetched again, in the background. Tools that
    /// rotate keys in a file replace them without saying when. Default: 15 minutes, as in the SDK. `Duration::MAX`: until
    /// they are invalidated.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use aws_credential_types::Credentials;
    /// # use token_cache_aws::SdkSource;
    /// let source = SdkSource::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "example"));
    /// let source = source.max_age(Duration::from_secs(300));
    /// ```
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    #[cfg(feature = "chain")]
    pub(crate) fn for_role(provider: impl ProvideCredentials + 'static, role: Role) -> Self {
        Self { role: Some(role), ..Self::new(provider) }
    }

    #[cfg(feature = "chain")]
    fn role_arn(&self) -> Option<Arc<str>> {
        self.role.as_ref().map(|role| Arc::clone(&role.arn))
    }

    #[cfg(not(feature = "chain"))]
    const fn role_arn(&self) -> Option<Arc<str>> {
        None
    }

    /// If STS rejects the credentials that assume the role, this tries once more with others, if there are any.
    async fn provide(&self) -> provider::Result {
        let result = self.provider.provide_credentials().await;
        #[cfg(feature = "chain")]
        if let (Some(role), Err(error)) = (&self.role, &result)
            && is_rejected_by_sts(error)
            && role.base.replace_last().await
        {
            return self.provider.provide_credentials().await;
        }
        result
    }
}

// Leaves out the provider, whose `Debug` may show an access key.
impl fmt::Debug for SdkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, max_age) = (self.role_arn(), self.max_age);
        f.debug_struct("SdkSource").field("role", &role).field("max_age", &max_age).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for SdkSource {
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let token = self.provide().await.and_then(|credentials| into_token_for(credentials, self.max_age));
        let origin = || self.role_arn().map_or(Origin::Provider, Origin::Role);
        token.map_err(|error| into_fetch_error(error, &origin()))
    }
}

/// An invalid configuration is a permanent error: the cache backs off longer.
pub(crate) fn into_fetch_error(error: CredentialsError, origin: &Origin) -> BoxError {
    match error {
        CredentialsError::InvalidConfiguration(_) => permanent(FetchError::new(error, origin)),
        _ => FetchError::new(error, origin).into(),
    }
}
