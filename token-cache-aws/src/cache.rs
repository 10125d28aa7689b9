//! [`AwsTokenCache`]: cached AWS credentials, and the region and endpoint to use them with.

#[cfg(feature = "chain")]
mod weak;

use std::fmt;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_types::SdkConfig;
use token_cache_core::{Error, TokenCache};

#[cfg(feature = "chain")]
pub(crate) use crate::cache::weak::WeakAwsTokenCache;
use crate::credential_cache::credential_cache;
use crate::endpoint::EndpointConfig;
use crate::error::{ConfigError, redact};
#[cfg(feature = "_views")]
use crate::provider::Views;
use crate::source::SdkSource;

/// Cached AWS credentials, with the region and the S3 endpoint of the same configuration.
///
/// It implements `CredentialProvider` of each object_store version whose feature is enabled, so any
/// `with_credentials` takes `Arc::new(aws.clone())`. It also implements [`ProvideCredentials`] of the AWS SDK, with
/// the real expiry, and `ProvideCredential` of reqsign if the feature `reqsign-3` is enabled. Clones share one cache, and each token is converted once per object_store version.
///
/// Nothing is fetched before the first [`get`](Self::get). See [`TokenCache`] for what a caller can rely on.
#[derive(Clone)]
pub struct AwsTokenCache {
    inner: Arc<Inner>,
}

struct Inner {
    cache: TokenCache<Credentials>,
    #[cfg(feature = "_views")]
    views: Views,
    #[cfg(feature = "chain")]
    config: SdkConfig,
    endpoint: EndpointConfig,
}

impl AwsTokenCache {
    /// Caches the credentials of `config`, with the defaults of [`credential_cache`] and the region and endpoint of `config`.
    ///
    /// # Errors
    ///
    /// If `config` has no credentials provider.
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// aws.get().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConfigError> {
        Ok(Self::new(credential_cache(SdkSource::from_sdk_config(config)?).build(), config))
    }

    /// Caches the credentials of any provider, with the defaults of [`credential_cache`], without a region or an endpoint. Use
    /// [`from_sdk_config`](Self::from_sdk_config) to have all three.
    ///
    /// ```
    /// # use aws_credential_types::Credentials;
    /// # use token_cache_aws::AwsTokenCache;
    /// let aws = AwsTokenCache::from_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "example"));
    /// ```
    pub fn from_provider(provider: impl ProvideCredentials + 'static) -> Self {
        Self::new(credential_cache(SdkSource::new(provider)).build(), &SdkConfig::builder().build())
    }

    /// Wraps a cache with custom settings, made with [`credential_cache`]. The region and endpoint are those of `config`.
    ///
    /// ```
    /// # use token_cache_aws::{SdkSource, credential_cache};
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// let source = SdkSource::from_sdk_config(&config)?;
    /// let aws = AwsTokenCache::new(credential_cache(source).name("hub").build(), &config);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(cache: TokenCache<Credentials>, config: &SdkConfig) -> Self {
        let inner = Inner {
            #[cfg(feature = "_views")]
            views: Views::new(&cache),
            #[cfg(feature = "chain")]
            config: config.clone(),
            endpoint: EndpointConfig::new(config),
            cache,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the credentials, fetching them if necessary. Same as [`TokenCache::get`].
    ///
    /// # Errors
    ///
    /// Those of [`TokenCache::get`]. If the source failed, the [`source`](std::error::Error::source) of the error is a
    /// [`FetchError`](crate::FetchError).
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let credentials = aws.get().await?;
    /// assert!(credentials.access_key_id().starts_with("AKIA"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self) -> Result<Arc<Credentials>, Error> {
        self.inner.cache.get().await
    }

    /// The underlying cache: to refresh, to invalidate, to read its status.
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// aws.get().await?;
    /// assert_eq!(aws.cache().status().generation, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cache(&self) -> &TokenCache<Credentials> {
        &self.inner.cache
    }

    /// The region of the configuration, if it sets one.
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// assert_eq!(aws.region(), Some("us-east-1"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.inner.endpoint.region.as_deref()
    }

    /// The S3 endpoint of the configuration: `AWS_ENDPOINT_URL_S3` or the profile's S3 endpoint, otherwise the
    /// endpoint for all services. Usually `None`, which means the endpoint of AWS.
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// assert_eq!(aws.s3_endpoint_url(), Some(kit.s3().endpoint().as_str()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn s3_endpoint_url(&self) -> Option<&str> {
        self.inner.endpoint.s3_endpoint_url.as_deref()
    }

    #[cfg(feature = "chain")]
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.inner.config
    }

    #[cfg(feature = "_object_store")]
    pub(crate) fn endpoint(&self) -> &EndpointConfig {
        &self.inner.endpoint
    }

    #[cfg(feature = "_views")]
    pub(crate) fn views(&self) -> &Views {
        &self.inner.views
    }
}

impl fmt::Debug for AwsTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTokenCache")
            .field("cache", &self.inner.cache)
            .field("region", &self.region())
            // A URL may contain a user and a password.
            .field("s3_endpoint_url", &self.s3_endpoint_url().map(redact))
            .finish_non_exhaustive()
    }
}
