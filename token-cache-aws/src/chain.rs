//! The SDK's own ways to credentials: the default chain and profiles, read anew for each fetch.

use std::borrow::Cow;
use std::env;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result};
use aws_types::SdkConfig;
use aws_types::os_shim_internal::{Env, Fs};
use token_cache_core::{BoxError, TemporaryToken, TokenSource};

use crate::cache::{AwsTokenCache, builder};
use crate::http;
use crate::source::{OPERATION_TIMEOUT, failure, token};

impl AwsTokenCache {
    /// The SDK's default chain, with the timeouts of [`defaults`]: environment, profile, web identity, container, instance
    /// metadata. Region and endpoint come from the same configuration.
    ///
    /// Reads files, and may ask the instance metadata service for the region, but fetches no credentials yet. Each fetch
    /// reads environment and files anew, so a file that was mended or rotated is noticed.
    ///
    /// Never another identity than the one that is configured: a key without its secret, or a profile that does not exist,
    /// is an error, where the SDK by itself goes on to the machine's own role.
    pub async fn from_env() -> Self {
        Self::from_chain(None).await
    }

    /// The credentials of one profile, its region and its endpoint. The environment has no say in the credentials.
    ///
    /// Reads files, and may ask the instance metadata service for the region, but fetches no credentials yet. Each fetch
    /// reads the files anew.
    pub async fn from_profile(name: impl Into<String>) -> Self {
        Self::from_chain(Some(name.into())).await
    }

    async fn from_chain(profile: Option<String>) -> Self {
        let config = load(profile.as_deref()).await;
        Self::new(builder(ChainSource { profile, config: config.clone() }).build(), &config)
    }
}

/// The SDK's defaults, with the timeouts that suit a cache: 60 s an operation, 5 s an attempt.
///
/// The place to set by hand what [`AwsTokenCache::from_env`] reads from the environment:
///
/// ```no_run
/// # async fn example() -> Result<(), token_cache_aws::ConfigError> {
/// let config = token_cache_aws::defaults().region("eu-north-1").load().await;
/// let aws = token_cache_aws::AwsTokenCache::from_sdk_config(&config)?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn defaults() -> ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts());
    match http::client() {
        Some(client) => loader.http_client(client),
        None => loader,
    }
}

/// Boxed, because the SDK's future is large, and so would be every one that holds it.
fn load(profile: Option<&str>) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(match profile {
        Some(name) => defaults().profile_name(name).load(),
        None => defaults().load(),
    })
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build()
}

/// A provider of the SDK that is made anew for each fetch. One that is kept would read a profile once and for all, repeat
/// its first error in other words, and answer with what has expired while the metadata service is down.
struct ChainSource {
    /// One profile and nothing else; or the whole chain.
    profile: Option<String>,
    config: SdkConfig,
}

#[async_trait]
impl TokenSource for ChainSource {
    type Token = Credentials;

    async fn fetch(&self) -> std::result::Result<TemporaryToken<Credentials>, BoxError> {
        let result = match &self.profile {
            Some(name) => self.of_profile(name).await,
            None => self.of_chain().await,
        };
        result.and_then(token).map_err(|error| failure(error, None))
    }
}

impl ChainSource {
    async fn of_chain(&self) -> Result {
        half_a_pair("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")?;
        let mut loader = defaults();
        // One that was not to be found before may be found now; one that was, is not looked up again.
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
        if result.as_ref().map_or(true, is_of_the_machine) {
            named_profile_exists().await?;
            half_a_pair("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")?;
        }
        result
    }

    async fn of_profile(&self, name: &str) -> Result {
        let region = match self.config.region() {
            Some(region) => Some(region.clone()),
            None => load(Some(name)).await.region().cloned(),
        };
        let mut config = ProviderConfig::without_region()
            .with_region(region)
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_timeout_config(timeouts());
        if let Some(retries) = self.config.retry_config() {
            config = config.with_retry_config(retries.clone());
        }
        if let Some(client) = self.config.http_client() {
            config = config.with_http_client(client);
        }
        let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build();
        provider.provide_credentials().await.map_err(|error| match error {
            // Here it is not one of several that were tried.
            CredentialsError::CredentialsNotLoaded(_) => CredentialsError::invalid_configuration(format!(
                "the profile \"{name}\" has no credentials{}; look into ~/.aws/config and ~/.aws/credentials, or into the \
                 files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name",
                std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"))
            )),
            error => error,
        })
    }
}

/// Whether they are what a machine or a container is given, and not what somebody has chosen for this process.
fn is_of_the_machine(credentials: &Credentials) -> bool {
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    let named = features.contains(&Feature::CredentialsProfile);
    !named && features.iter().any(|feature| matches!(feature, Feature::CredentialsImds | Feature::CredentialsHttp))
}

/// An error if one of two variables that only work together is set alone.
fn half_a_pair(one: &'static str, other: &'static str) -> std::result::Result<(), CredentialsError> {
    let (set, unset) = match (is_set(one), is_set(other)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ => return Ok(()),
    };
    Err(CredentialsError::invalid_configuration(format!(
        "the environment sets {set} but not {unset}; set both or none, so that no other identity takes their place"
    )))
}

/// An error if `AWS_PROFILE` names a profile that is in no file.
async fn named_profile_exists() -> std::result::Result<(), CredentialsError> {
    let Some(name) = env::var("AWS_PROFILE").ok().filter(|name| !name.trim().is_empty()) else { return Ok(()) };
    let selected = Some(Cow::Owned(name.clone()));
    match aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), selected).await {
        Ok(profiles) if profiles.get_profile(&name).is_none() => Err(CredentialsError::invalid_configuration(format!(
            "AWS_PROFILE names the profile \"{name}\", which is neither in ~/.aws/config nor in ~/.aws/credentials (nor in \
             the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name)"
        ))),
        _ => Ok(()),
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// For one try. STS and the metadata services answer within a second or are not well.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
