//! [`MetadataServer`]: tokens of the machine's service account.

use std::fmt;
use std::time::Duration;

use token_cache_core::{BoxError, TemporaryToken, TokenCache, TokenCacheBuilder, TokenSource};
use token_cache_oauth2::{AccessToken, request_token};

/// The tokens of a service account from Google's metadata server, on Compute Engine, GKE and Cloud Run.
pub struct MetadataServer {
    http: reqwest::Client,
    url: String,
    scopes: Vec<String>,
}

impl MetadataServer {
    /// The default service account, from `http://metadata.google.internal`. No proxy is used.
    ///
    /// # Errors
    ///
    /// If the HTTP client cannot be created.
    ///
    /// ```
    /// # use token_cache_gcp::MetadataServer;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = MetadataServer::new()?.cache().build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::at("http://metadata.google.internal")
    }

    /// The same, from another address: `http://` and `GCE_METADATA_HOST`, or an emulator.
    ///
    /// # Errors
    ///
    /// If the HTTP client cannot be created.
    ///
    /// ```
    /// # use token_cache_gcp::MetadataServer;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = MetadataServer::at("http://localhost:8080")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(endpoint: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let endpoint = endpoint.trim_end_matches('/');
        let url = format!("{endpoint}/computeMetadata/v1/instance/service-accounts/default/token");
        Ok(Self { http, url, scopes: Vec::new() })
    }

    /// Asks for these scopes. By default, the token has those of the machine.
    ///
    /// ```
    /// # use token_cache_gcp::MetadataServer;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = MetadataServer::new()?.scopes(["https://www.googleapis.com/auth/devstorage.read_only"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// A builder of a cache whose `expiry_buffer` is 3 min 45 s: the metadata server returns the same token until 4 to 5
    /// minutes before it expires, so an earlier refresh would get the same token again.
    ///
    /// ```
    /// # use token_cache_gcp::MetadataServer;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = MetadataServer::new()?.cache().name("bucket").build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache(self) -> TokenCacheBuilder<AccessToken> {
        TokenCache::builder(self).expiry_buffer(Duration::from_secs(225))
    }
}

#[token_cache_core::async_trait]
impl TokenSource for MetadataServer {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let mut request = self.http.get(&self.url).header("Metadata-Flavor", "Google");
        if !self.scopes.is_empty() {
            request = request.query(&[("scopes", self.scopes.join(","))]);
        }
        Ok(request_token(request).await?.token)
    }
}

impl fmt::Debug for MetadataServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataServer").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}
