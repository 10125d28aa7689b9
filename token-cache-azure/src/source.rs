//! [`AzureSource`]: tokens of any credential of azure_identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use token_cache_core::{BoxError, TemporaryToken, TokenCache, TokenCacheBuilder, TokenSource, async_trait};
use token_cache_oauth2::AccessToken;

use crate::error::classify;

/// The tokens of a [`TokenCredential`], by default for Azure Storage.
pub struct AzureSource {
    credential: Arc<dyn TokenCredential>,
    scope: String,
}

impl AzureSource {
    /// Tokens for Azure Storage.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use azure_core::credentials::TokenCredential;
    /// # use token_cache_azure::AzureSource;
    /// # async fn example(credential: Arc<dyn TokenCredential>) -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = AzureSource::new(credential).cache().build();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self { credential, scope: "https://storage.azure.com/.default".to_owned() }
    }

    /// Tokens for another service, such as `https://vault.azure.net/.default`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use azure_core::credentials::TokenCredential;
    /// # use token_cache_azure::AzureSource;
    /// # async fn example(credential: Arc<dyn TokenCredential>) -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = AzureSource::new(credential).scope("https://management.azure.com/.default").cache().build();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// A builder of a cache whose `expiry_buffer` is 4 minutes: azure_identity caches each token until 5 minutes before it
    /// expires, so an earlier refresh would get the same token again.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use azure_core::credentials::TokenCredential;
    /// # use token_cache_azure::AzureSource;
    /// # async fn example(credential: Arc<dyn TokenCredential>) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = AzureSource::new(credential).cache().name("lake").build().get().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache(self) -> TokenCacheBuilder<AccessToken> {
        TokenCache::builder(self).expiry_buffer(Duration::from_secs(240))
    }
}

#[async_trait]
impl TokenSource for AzureSource {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let response = self.credential.get_token(&[&self.scope], None).await.map_err(classify)?;
        Ok(TemporaryToken::new(AccessToken::new(response.token.secret()), response.expires_on.into()))
    }
}

impl fmt::Debug for AzureSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The credential's Debug is not under the control of this crate.
        f.debug_struct("AzureSource").field("scope", &self.scope).finish_non_exhaustive()
    }
}
