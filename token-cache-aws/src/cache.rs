//! [`AwsTokenCache`]: the type that a user meets first.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "chain")]
use std::sync::Weak;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_types::SdkConfig;
use token_cache_core::{Error, TokenCache, TokenCacheBuilder, TokenSource};

use crate::buffer::expiry_buffer;
use crate::error::ConfigError;
use crate::location::Location;
#[cfg(feature = "_object_store")]
use crate::provider::Views;
use crate::source::{OPERATION_TIMEOUT, SdkSource};

/// AWS credentials that are always at hand, and where they are to be used.
///
/// It is a `CredentialProvider` of object_store, in each of the versions whose feature is on, so `Arc::new(aws.clone())`
/// goes into any `with_credentials`; and it is a [`ProvideCredentials`] of the SDK, with the true expiry. Clones share one
/// cache, whomever they serve, and each token is converted once for each version.
///
/// Nothing is fetched before the first caller. [`TokenCache`] says what a caller may rely on.
#[derive(Clone)]
pub struct AwsTokenCache {
    inner: Arc<Inner>,
}

struct Inner {
    cache: TokenCache<Credentials>,
    #[cfg(feature = "_object_store")]
    views: Views,
    #[cfg(feature = "chain")]
    config: SdkConfig,
    location: Location,
}

impl AwsTokenCache {
    /// The credentials, region and endpoint of `config`, with the defaults of [`builder`].
    ///
    /// # Errors
    ///
    /// If `config` has no credentials provider.
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        Ok(Self::new(builder(SdkSource::from_sdk_config(config)?).build(), config))
    }

    /// The credentials of any provider. There is no region and no endpoint; where those are known,
    /// [`from_sdk_config`](Self::from_sdk_config) has all three.
    pub fn from_provider(provider: impl ProvideCredentials + 'static) -> Self {
        Self::new(builder(SdkSource::new(provider)).build(), &SdkConfig::builder().build())
    }

    /// A cache with settings of one's own (from [`builder`]), with the region and endpoint of `config`.
    #[must_use]
    pub fn new(cache: TokenCache<Credentials>, config: &SdkConfig) -> Self {
        let inner = Inner {
            #[cfg(feature = "_object_store")]
            views: Views::of(&cache),
            #[cfg(feature = "chain")]
            config: config.clone(),
            location: Location::of(config),
            cache,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The credentials. As [`TokenCache::get`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get`]. The source of the error is a [`FetchError`](crate::FetchError).
    pub async fn get(&self) -> Result<Arc<Credentials>, Error> {
        self.inner.cache.get().await
    }

    /// The cache itself: to refresh, to invalidate, to look at its status.
    #[must_use]
    pub fn cache(&self) -> &TokenCache<Credentials> {
        &self.inner.cache
    }

    /// The region that the configuration names, if any.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.inner.location.region.as_deref()
    }

    /// The endpoint of S3 that the configuration names: `AWS_ENDPOINT_URL_S3` or the profile's for S3, else that for all
    /// services. `None`, and that is the rule: AWS's own.
    #[must_use]
    pub fn s3_endpoint_url(&self) -> Option<&str> {
        self.inner.location.s3_endpoint_url.as_deref()
    }

    #[cfg(feature = "chain")]
    pub(crate) fn downgrade(&self) -> WeakAwsTokenCache {
        WeakAwsTokenCache { inner: Arc::downgrade(&self.inner), config: self.inner.config.clone() }
    }

    #[cfg(feature = "chain")]
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.inner.config
    }

    #[cfg(feature = "_object_store")]
    pub(crate) fn views(&self) -> &Views {
        &self.inner.views
    }
}

impl fmt::Debug for AwsTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTokenCache")
            .field("cache", &self.inner.cache)
            .field("location", &self.inner.location)
            .finish_non_exhaustive()
    }
}

/// For the registry: a handle that keeps nothing alive.
#[cfg(feature = "chain")]
pub(crate) struct WeakAwsTokenCache {
    inner: Weak<Inner>,
    config: SdkConfig,
}

#[cfg(feature = "chain")]
impl WeakAwsTokenCache {
    pub(crate) fn upgrade(&self) -> Option<AwsTokenCache> {
        self.inner.upgrade().map(|inner| AwsTokenCache { inner })
    }

    /// The same again around its cache, of which somebody holds a handle.
    pub(crate) fn rebuild(&self, cache: TokenCache<Credentials>) -> AwsTokenCache {
        AwsTokenCache::new(cache, &self.config)
    }

    #[cfg(test)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.inner, &other.inner)
    }
}

/// Starts to set up a cache of AWS credentials, by the `name` of `aws`. It has the defaults of the core but for these:
///
/// - `expiry_buffer`: 5 minutes, but at most half of the lifetime, for credentials that live up to 20 minutes; 15 minutes
///   below 90; 60 minutes from there. What the AWS SDKs have agreed on.
/// - `fetch_timeout`: 60 seconds, the operation timeout of `defaults`.
/// - `token_eq`: by access key id and session token. So static credentials that were rejected are not tried again as they
///   are: callers are told that the source has no others.
///
/// ```
/// # use std::time::Duration;
/// # #[cfg(feature = "chain")]
/// # async fn example() -> Result<(), token_cache_aws::ConfigError> {
/// use token_cache_aws::{AwsTokenCache, SdkSource, builder, defaults};
///
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
        .token_eq(|one, two| one.access_key_id() == two.access_key_id() && one.session_token() == two.session_token())
        .name("aws")
}
