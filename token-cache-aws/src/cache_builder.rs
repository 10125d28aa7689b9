//! [`AwsTokenCacheBuilder`]: the settings of an [`AwsTokenCache`].

use std::fmt;

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient};
use token_cache_core::TokenCacheBuilder;

use crate::cache::AwsTokenCache;
use crate::chain::ChainSource;
use crate::credential_cache::credential_cache;

/// Settings of an [`AwsTokenCache`], from [`AwsTokenCache::builder`].
///
/// Whatever is set, it has the rules of [`AwsTokenCache::from_env`]: an incomplete configuration is an error, and the
/// cache keeps the identity of its first credentials.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example() {
/// use token_cache_aws::AwsTokenCache;
///
/// let aws = AwsTokenCache::builder()
///     .profile("hub")
///     .region("eu-north-1")
///     .cache(|cache| cache.min_ttl(Duration::from_secs(210)))
///     .load()
///     .await;
/// # }
/// ```
#[must_use = "nothing is loaded before `load`"]
pub struct AwsTokenCacheBuilder {
    settings: LoadSettings,
    cache: Box<dyn FnOnce(TokenCacheBuilder<Credentials>) -> TokenCacheBuilder<Credentials> + Send>,
}

/// What is set in code, and not by the environment or a file.
#[derive(Clone, Default)]
pub(crate) struct LoadSettings {
    /// `None`: the default chain.
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<Region>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) http_client: Option<SharedHttpClient>,
}

impl AwsTokenCache {
    /// Starts to configure a cache of the SDK's default chain, or of one profile.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().region("eu-north-1").load().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> AwsTokenCacheBuilder {
        AwsTokenCacheBuilder { settings: LoadSettings::default(), cache: Box::new(|cache| cache) }
    }
}

impl AwsTokenCacheBuilder {
    /// Uses one profile instead of the default chain, as [`AwsTokenCache::from_profile`] does. Default: the default
    /// chain.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().profile("hub").load().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.settings.profile = Some(name.into());
        self
    }

    /// The region. Default: that of the environment, of the profile, or of the instance metadata service.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().region("eu-north-1").load().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = Some(Region::new(region.into()));
        self
    }

    /// The endpoint of all services. Default: that of the environment or of the profile.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().endpoint_url("http://localhost:4566").load().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint_url = Some(url.into());
        self
    }

    /// The HTTP client for requests to the issuers. Default: by the crate's features.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example(client: aws_smithy_runtime_api::client::http::SharedHttpClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().http_client(client).load().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.settings.http_client = Some(SharedHttpClient::new(client));
        self
    }

    /// Changes settings of the cache, on top of the defaults of [`credential_cache`](crate::credential_cache()). Several calls add up.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().cache(|cache| cache.min_ttl(Duration::from_secs(210)).name("hub")).load().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache(
        self,
        settings: impl FnOnce(TokenCacheBuilder<Credentials>) -> TokenCacheBuilder<Credentials> + Send + 'static,
    ) -> Self {
        let before = self.cache;
        Self { settings: self.settings, cache: Box::new(|cache| settings(before(cache))) }
    }

    /// Reads the environment and the files, and may query the instance metadata service for the region, but fetches no
    /// credentials. A configuration that is invalid is reported by the first fetch.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::builder().load().await;
    /// aws.get().await?; // the first fetch
    /// # Ok(())
    /// # }
    /// ```
    pub async fn load(self) -> AwsTokenCache {
        let source = ChainSource::load(self.settings).await;
        let config = source.config().clone();
        AwsTokenCache::new((self.cache)(credential_cache(source)).build(), &config)
    }
}

impl fmt::Debug for AwsTokenCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTokenCacheBuilder")
            .field("profile", &self.settings.profile)
            .field("region", &self.settings.region)
            .finish_non_exhaustive()
    }
}
