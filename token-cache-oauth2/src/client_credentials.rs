//! [`ClientCredentials`]: tokens for the client itself.

use std::time::Duration;

use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait};

use crate::client::{Client, TokenRequest};
use crate::response::request_token;
use crate::token::AccessToken;

/// The client credentials grant ([RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    client: Client,
    request: TokenRequest,
    default_lifetime: Option<Duration>,
}

impl ClientCredentials {
    /// Creates a source of tokens for `request`. `TokenRequest::default()` asks for what the issuer grants by default.
    ///
    /// ```
    /// # use token_cache_oauth2::{Client, ClientCredentials, TokenRequest};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("https://login.example.com/token", "my-service")?.secret("from a file");
    /// let source = ClientCredentials::new(client, TokenRequest::scopes(["read"]));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn new(client: Client, request: TokenRequest) -> Self {
        Self { client, request, default_lifetime: None }
    }

    /// The lifetime of tokens for which the issuer states none. By default, they are used until they are invalidated.
    ///
    /// ```
    /// # use token_cache_oauth2::{Client, ClientCredentials, TokenRequest};
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new("https://login.example.com/token", "my-service")?;
    /// let source = ClientCredentials::new(client, TokenRequest::default()).default_lifetime(Duration::from_secs(600));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = Some(lifetime);
        self
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let request = self.client.request(&[("grant_type", "client_credentials")], &self.request).await?;
        Ok(request_token(request).await?.or_lifetime(self.default_lifetime))
    }
}
