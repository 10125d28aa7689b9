//! OAuth2, by the `oauth2` crate.
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
//! // Without redirects, which could carry the secret elsewhere.
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
//! The tokens are the crate's own [`AccessToken`], whose `Debug` does not show them.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicRequestTokenError, BasicTokenResponse};
use oauth2::{
    AccessToken, EndpointNotSet, EndpointSet, HttpClientError, RefreshToken, RequestTokenError, Scope, TokenResponse,
    reqwest,
};
use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait, permanent};

/// A client with a token endpoint.
pub type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Tokens for a program of its own.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "to be copied")]
pub struct ClientCredentials {
    /// Who asks, and where.
    pub client: Client,
    /// What to ask by.
    pub http: reqwest::Client,
    /// For what.
    pub scopes: Vec<Scope>,
}

#[async_trait]
impl TokenSource for ClientCredentials {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let request = self.client.exchange_client_credentials().add_scopes(self.scopes.iter().cloned());
        Ok(token(&request.request_async(&self.http).await.map_err(failed)?))
    }
}

/// Tokens for a program that a user has let in, by a refresh token.
///
/// Issuers that rotate refresh tokens give the next one with each answer; this keeps it, and in this process alone. Such an
/// issuer takes an answer that is lost on the way for a theft: leave `fetch_timeout` well above what the issuer takes.
pub struct Refresh {
    client: Client,
    http: reqwest::Client,
    refresh: Mutex<RefreshToken>,
}

impl Refresh {
    /// Begins with the refresh token of a login.
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
        let answer = self.client.exchange_refresh_token(&refresh).request_async(&self.http).await.map_err(failed)?;
        if let Some(next) = answer.refresh_token() {
            *self.refresh.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
        }
        Ok(token(&answer))
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").field("client", &self.client).finish_non_exhaustive()
    }
}

/// `expires_in` is counted by the cache from before the question: no clock is asked here.
fn token(answer: &BasicTokenResponse) -> TemporaryToken<AccessToken> {
    let token = answer.access_token().clone();
    match answer.expires_in() {
        Some(lifetime) => TemporaryToken::expires_in(token, lifetime),
        None => TemporaryToken::never_expires(token),
    }
}

/// What the standard has a code for (`invalid_grant`, `invalid_client`, ...) is for somebody to mend.
fn failed(error: BasicRequestTokenError<HttpClientError<reqwest::Error>>) -> BoxError {
    match &error {
        RequestTokenError::ServerResponse(answer)
            if !matches!(answer.error(), BasicErrorResponseType::Extension(_)) =>
        {
            permanent(error)
        }
        _ => error.into(),
    }
}
