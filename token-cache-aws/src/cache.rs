//! [`AwsTokenCache`]: the type that a user meets first.

use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use token_cache_core::{Error, TokenCache, TokenCacheBuilder, TokenSource};
use tokio::sync::OnceCell;

use crate::buffer::expiry_buffer;
use crate::error::ConfigError;
use crate::location::Location;
use crate::provider::Views;
use crate::source::{OPERATION_TIMEOUT, SdkSource, defaults};

/// AWS credentials that are always at hand, and where they are to be used.
///
/// It is a `CredentialProvider` of object_store, in each of the versions whose feature is on, so `Arc::new(aws.clone())`
/// goes into any `with_credentials`. Clones share one cache, whichever version they serve, and each token is converted
/// once for each version.
///
/// Nothing is fetched before the first caller. [`TokenCache`] says what a caller may rely on.
#[derive(Clone)]
pub struct AwsTokenCache {
    cache: TokenCache<Credentials>,
    views: Views,
    location: Arc<Location>,
}

impl AwsTokenCache {
    /// The SDK's default chain, with the timeouts of [`defaults`]: environment, profile, web identity, container, instance
    /// metadata. Region and endpoint come from the same configuration.
    ///
    /// Reads files, and may ask the instance metadata service for the region, but fetches no credentials yet.
    ///
    /// # Errors
    ///
    /// As [`from_sdk_config`](Self::from_sdk_config).
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_sdk_config(&defaults().load().await)
    }

    /// The credentials, region and endpoint of `config`.
    ///
    /// # Errors
    ///
    /// If `config` has no credentials provider.
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        Ok(Self::new(builder(SdkSource::from_sdk_config(config)?).build(), config))
    }

    /// The credentials of any provider. There is no region and no endpoint.
    pub fn from_provider(provider: impl ProvideCredentials + 'static) -> Self {
        Self::new(builder(SdkSource::new(provider)).build(), &SdkConfig::builder().build())
    }

    /// A cache with settings of one's own (from [`builder`]), with the region and endpoint of `config`.
    #[must_use]
    pub fn new(cache: TokenCache<Credentials>, config: &SdkConfig) -> Self {
        Self { views: Views::of(&cache), cache, location: Arc::new(Location::of(config)) }
    }

    /// The one instance of this process, made [from the environment](Self::from_env) by the first who asks.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env). An error is not kept: the next caller tries again.
    pub async fn shared() -> Result<Self, ConfigError> {
        static SHARED: OnceCell<AwsTokenCache> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::from_env).await.cloned()
    }

    /// The credentials. As [`TokenCache::get`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get`]. The source of the error is a [`FetchError`](crate::FetchError).
    pub async fn get(&self) -> Result<Arc<Credentials>, Error> {
        self.cache.get().await
    }

    /// The cache itself: to refresh, to invalidate, to look at its status.
    #[must_use]
    pub const fn cache(&self) -> &TokenCache<Credentials> {
        &self.cache
    }

    /// The region that the configuration names, if any.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.location.region.as_deref()
    }

    /// The endpoint of S3 that the configuration names: `AWS_ENDPOINT_URL_S3` or the profile's for S3, else that for all
    /// services. `None`, and that is the rule: AWS's own.
    #[must_use]
    pub fn s3_endpoint_url(&self) -> Option<&str> {
        self.location.s3_endpoint_url.as_deref()
    }

    pub(crate) const fn views(&self) -> &Views {
        &self.views
    }
}

impl fmt::Debug for AwsTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTokenCache")
            .field("cache", &self.cache)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// Starts to set up a cache of AWS credentials, by the `name` of `aws`. It has the defaults of the core but for these:
///
/// - `expiry_buffer`: 5 minutes, but at most half of the lifetime, for credentials that live up to 20 minutes; 15 minutes
///   below 90; 60 minutes from there. What the AWS SDKs have agreed on.
/// - `fetch_timeout`: 60 seconds, the operation timeout of [`defaults`].
/// - `same_token`: by access key id and session token. So static credentials that were rejected are not tried again as they
///   are: callers are told that the source has no others.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_aws::{AwsTokenCache, ConfigError, SdkSource, builder, defaults};
/// # async fn example() -> Result<(), ConfigError> {
/// let config = defaults().load().await;
/// let cache = builder(SdkSource::from_sdk_config(&config)?).min_ttl(Duration::from_secs(210)).build();
/// let aws = AwsTokenCache::new(cache, &config);
/// # Ok(())
/// # }
/// ```
pub fn builder(source: impl TokenSource<Token = Credentials>) -> TokenCacheBuilder<Credentials> {
    TokenCache::builder(source)
        .expiry_buffer_by(expiry_buffer)
        .fetch_timeout(OPERATION_TIMEOUT)
        .same_token(|one, two| one.access_key_id() == two.access_key_id() && one.session_token() == two.session_token())
        .name("aws")
}
