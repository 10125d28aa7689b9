//! [`ChainSource`]: the SDK's default chain or one profile, read again for each fetch.

mod identity_check;

use std::error::Error as StdError;
use std::pin::Pin;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials};
use aws_types::SdkConfig;
use token_cache_core::{BoxError, TemporaryToken, TokenSource};

use self::identity_check::{is_ambient, require_both, require_profile};
use crate::builder::builder;
use crate::cache::AwsTokenCache;
use crate::defaults::{defaults, timeouts};
use crate::source::{into_fetch_error, into_token};

impl AwsTokenCache {
    /// Caches the credentials of the SDK's default chain: environment, profile, web identity, container, instance
    /// metadata. Region and endpoint come from the same configuration. Timeouts are those of [`defaults`].
    ///
    /// This reads files, and may query the instance metadata service for the region, but fetches no credentials. Each
    /// fetch reads the environment and the files again, so a file that was corrected or rotated takes effect.
    ///
    /// An incomplete configuration, such as an access key without its secret or a profile that does not exist, is an
    /// error. The SDK alone would skip it and use the role of the machine, which is another identity.
    pub async fn from_env() -> Self {
        Self::from_chain(None).await
    }

    /// Caches the credentials of one profile, with its region and endpoint. Credentials in the environment are ignored.
    ///
    /// This reads files, and may query the instance metadata service for the region, but fetches no credentials. Each
    /// fetch reads the files again.
    pub async fn from_profile(name: impl Into<String>) -> Self {
        Self::from_chain(Some(name.into())).await
    }

    async fn from_chain(profile: Option<String>) -> Self {
        let config = load_config(profile.as_deref()).await;
        Self::new(builder(ChainSource { profile, config: config.clone() }).build(), &config)
    }
}

/// Boxed: the SDK's future is large, and each future that contains it would be as large.
fn load_config(profile: Option<&str>) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(match profile {
        Some(name) => defaults().profile_name(name).load(),
        None => defaults().load(),
    })
}

/// Makes a new provider of the SDK for each fetch. A provider that is kept reads a profile only once, replaces its
/// first error by a less helpful one, and returns expired credentials while the metadata service is down.
struct ChainSource {
    /// `None`: the default chain.
    profile: Option<String>,
    config: SdkConfig,
}

#[async_trait]
impl TokenSource for ChainSource {
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let result = match &self.profile {
            Some(name) => self.fetch_from_profile(name).await,
            None => self.fetch_from_chain().await,
        };
        result.and_then(into_token).map_err(|error| into_fetch_error(error, None))
    }
}

impl ChainSource {
    async fn fetch_from_chain(&self) -> provider::Result {
        require_both("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")?;
        let mut loader = defaults();
        // A region that is known needs no lookup. One that was not found before may be found now.
        if let Some(region) = self.config.region() {
            loader = loader.region(region.clone());
        }
        if let Some(client) = self.config.http_client() {
            loader = loader.http_client(client);
        }
        let config = loader.load().await;
        let Some(provider) = config.credentials_provider() else {
            return Err(CredentialsError::not_loaded("the SDK has no default chain"));
        };
        let result = provider.provide_credentials().await;
        if result.as_ref().map_or(true, is_ambient) {
            require_profile().await?;
            require_both("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")?;
        }
        result
    }

    /// Uses the profile's provider alone: in the default chain, keys in the environment come before the profile.
    async fn fetch_from_profile(&self, name: &str) -> provider::Result {
        let region = match self.config.region() {
            Some(region) => Some(region.clone()),
            None => load_config(Some(name)).await.region().cloned(),
        };
        let mut config = ProviderConfig::without_region()
            .with_region(region)
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_timeout_config(timeouts());
        if let Some(retry_config) = self.config.retry_config() {
            config = config.with_retry_config(retry_config.clone());
        }
        if let Some(client) = self.config.http_client() {
            config = config.with_http_client(client);
        }
        let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build();
        provider.provide_credentials().await.map_err(|error| match error {
            // "Not loaded" lets a chain try its next provider, and there is none here.
            CredentialsError::CredentialsNotLoaded(_) => CredentialsError::invalid_configuration(format!(
                "the profile \"{name}\" has no credentials{}; check ~/.aws/config and ~/.aws/credentials, or the files \
                 that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name",
                error.source().map_or_else(String::new, |source| format!(": {source}"))
            )),
            error => error,
        })
    }
}
