//! OAuth 2.0 access tokens for token-cache: client credentials, refresh tokens, client assertions of Kubernetes.
//!
//! ```
//! use token_cache_core::TokenCache;
//! use token_cache_oauth2::{Client, ClientCredentials, TokenRequest};
//!
//! # #[cfg(feature = "client")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let token_url = format!("http://{}/token", listener.local_addr()?);
//! # let secret = "secret";
//! # tokio::spawn(async move {
//! #     let (mut stream, _) = listener.accept().await.unwrap();
//! #     stream.read(&mut [0; 4096]).await.unwrap();
//! #     let body = r#"{"access_token":"token-1","token_type":"Bearer","expires_in":3600}"#;
//! #     let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
//! #     stream.write_all(answer.as_bytes()).await.unwrap();
//! # });
//! let client = Client::new(&token_url, "client")?.secret(secret);
//! let source = ClientCredentials::new(client, TokenRequest::scopes(["storage"]));
//! let cache = TokenCache::builder(source).build();
//! assert_eq!(cache.get().await?.secret(), "token-1"); // fetched
//! assert_eq!(cache.get().await?.secret(), "token-1"); // cached
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```
//!
//! - [`ClientCredentials`]: tokens for the program itself. [`Refresh`]: tokens for a user who has logged in, with a hook that
//!   stores each rotated refresh token.
//! - [`Client::assertion_file`]: a file with a service account token of Kubernetes in place of a secret, for workload identity in
//!   Entra ID and elsewhere. It is read for each request.
//! - [`TokenRequest`]: scopes and audience, also as a key for a cache per key.
//! - [`request_token`]: for a source of your own with another grant.
//!
//! # Errors
//!
//! `invalid_client`, `invalid_grant`, `unauthorized_client`, `unsupported_grant_type` and `invalid_scope` are
//! [permanent](token_cache_core::permanent): the configuration has to be corrected, or the user has to log in again. All other
//! errors are transient. `Retry-After`, as seconds or as a date, delays the next fetch.
//!
//! # Features
//!
//! - `client`, by default: the grants, over reqwest. Without it, the crate has only [`AccessToken`].
//! - `https`, by default: TLS with rustls over aws-lc. Without it, pass a client with TLS to [`Client::http_client`].
//! - `object_store-0_12`, `object_store-0_13`, `object_store-0_14`: converts a token to the `GcpCredential` and the
//!   `AzureCredential` of that version, for `with_credentials(Arc::new(cache.view(AccessToken::to::<GcpCredential>)))`.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "client"), allow(rustdoc::broken_intra_doc_links, reason = "the items are of the feature"))]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod client_credentials;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
mod refresh;
#[cfg(feature = "client")]
mod response;
mod token;

pub use token_cache_core;

#[cfg(feature = "client")]
pub use crate::client::{Client, ConfigError, TokenRequest};
#[cfg(feature = "client")]
pub use crate::client_credentials::ClientCredentials;
#[cfg(feature = "client")]
pub use crate::error::FetchError;
#[cfg(feature = "client")]
pub use crate::refresh::Refresh;
#[cfg(feature = "client")]
pub use crate::response::{TokenResponse, request_token};
pub use crate::token::AccessToken;

#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
mod readme {}
