//! The shared cache of this process.

use token_cache_core::Error;
use tokio::sync::OnceCell;

use crate::cache::AwsTokenCache;
use crate::identity::IdentitySpec;
use crate::registry::Registry;

impl AwsTokenCache {
    /// Returns the shared cache of this process for [the environment](Self::from_env), after it has fetched
    /// credentials. Call it at startup to fail there, and not at the first request.
    ///
    /// The cache lives as long as the process. [`Registry::process`] contains it.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get). The next call tries again, limited by the cache's backoff.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::process().await?; // fails at startup if there are no credentials
    /// # Ok(())
    /// # }
    /// ```
    pub async fn process() -> Result<Self, Error> {
        let aws = shared().await;
        aws.get().await?;
        Ok(aws)
    }

    /// The same as [`process`](Self::process): the name that Arroyo's `ArroyoCredentialProvider` has for it. Like there,
    /// each call returns the same cache.
    ///
    /// # Errors
    ///
    /// Those of [`process`](Self::process).
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::try_new().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn try_new() -> Result<Self, Error> {
        Self::process().await
    }

    /// The region of [the environment](Self::from_env), if it sets one: by variable, profile or instance metadata. It
    /// is read once per process, and no credentials are fetched.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let region = AwsTokenCache::default_region().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn default_region() -> Option<String> {
        shared().await.region().map(ToOwned::to_owned)
    }
}

async fn shared() -> AwsTokenCache {
    static SHARED: OnceCell<AwsTokenCache> = OnceCell::const_new();
    let init = || async {
        let aws = AwsTokenCache::from_env().await;
        // If the registry is full, the process still gets its shared cache.
        Registry::process().get_or_insert(&IdentitySpec::from_env(), aws.clone()).unwrap_or(aws)
    };
    SHARED.get_or_init(init).await.clone()
}
