//! Any OAuth 2.0 issuer, with the `oauth2` crate.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
//! use oauth2::basic::BasicClient;
//! use oauth2::{ClientId, ClientSecret, Scope, TokenUrl, reqwest};
//! use token_cache_clouds::oauth2::ClientCredentials;
//! use token_cache_core::TokenCache;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = BasicClient::new(ClientId::new("client".to_owned()))
//!     .set_client_secret(ClientSecret::new(std::env::var("CLIENT_SECRET")?))
//!     .set_token_uri(TokenUrl::new("https://issuer/token".to_owned())?);
//! // A redirect could send the client secret to another host.
//! let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
//! let scopes = vec![Scope::new("storage".to_owned())];
//! let cache = TokenCache::builder(ClientCredentials { client, http, scopes }).build();
//!
//! let credentials = cache.view(|token| GcpCredential { bearer: token.secret().clone() });
//! let store = GoogleCloudStorageBuilder::new()
//!     .with_bucket_name("bucket")
//!     .with_credentials(Arc::new(credentials))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! The token type is the crate's own [`AccessToken`], whose `Debug` redacts the secret.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicRequestTokenError, BasicTokenResponse};
use oauth2::{
    AccessToken, EndpointNotSet, EndpointSet, HttpClientError, RefreshToken, RequestTokenError, Scope, TokenResponse,
    reqwest,
};
use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait, permanent};

/// An OAuth 2.0 client whose token endpoint is set.
pub type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// The client credentials grant ([RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "meant to be copied")]
pub struct ClientCredentials {
    /// The client's id and secret, and the token endpoint.
    pub client: Client,
    /// Sends the requests. Disable redirects, so that the client secret is not sent to another host.
    pub http: reqwest::Client,
    /// The scopes to request. If empty, the issuer applies its default.
    pub scopes: Vec<Scope>,
}

#[async_trait]
impl TokenSource for ClientCredentials {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let request = self.client.exchange_client_credentials().add_scopes(self.scopes.iter().cloned());
        Ok(token(&request.request_async(&self.http).await.map_err(classify)?))
    }
}

/// The refresh token grant ([RFC 6749, section 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
///
/// An issuer that rotates refresh tokens returns the next one with each response. It is kept in memory only. If a response is
/// lost, such an issuer may take the next use of the old refresh token for theft and revoke the login
/// ([RFC 9700, section 4.14](https://www.rfc-editor.org/rfc/rfc9700#section-4.14)). Set the cache's `fetch_timeout` well above
/// the latency of the issuer.
pub struct Refresh {
    client: Client,
    http: reqwest::Client,
    refresh: Mutex<RefreshToken>,
}

impl Refresh {
    /// Creates a source that starts with the refresh token of a login.
    #[must_use]
    pub const fn new(client: Client, http: reqwest::Client, refresh: RefreshToken) -> Self {
        Self { client, http, refresh: Mutex::new(refresh) }
    }
}

#[async_trait]
impl TokenSource for Refresh {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let refresh = self.refresh.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let response =
            self.client.exchange_refresh_token(&refresh).request_async(&self.http).await.map_err(classify)?;
        if let Some(next) = response.refresh_token() {
            *self.refresh.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
        }
        Ok(token(&response))
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").field("client", &self.client).finish_non_exhaustive()
    }
}

/// The cache measures `expires_in` from the start of the fetch, so this needs no clock.
fn token(response: &BasicTokenResponse) -> TemporaryToken<AccessToken> {
    let token = response.access_token().clone();
    match response.expires_in() {
        Some(lifetime) => TemporaryToken::expires_in(token, lifetime),
        None => TemporaryToken::never_expires(token),
    }
}

/// The error codes of [RFC 6749, section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2), such as `invalid_grant` and
/// `invalid_client`, are permanent: someone has to change the configuration or log in again.
fn classify(error: BasicRequestTokenError<HttpClientError<reqwest::Error>>) -> BoxError {
    match &error {
        RequestTokenError::ServerResponse(response)
            if !matches!(response.error(), BasicErrorResponseType::Extension(_)) =>
        {
            permanent(error)
        }
        _ => error.into(),
    }
}
