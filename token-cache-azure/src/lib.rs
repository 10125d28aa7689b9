//! Azure access tokens for object_store and HTTP clients, from any credential of azure_identity.
//!
//! ```
//! # #[cfg(feature = "object_store-0_14")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use object_store::azure::{AzureCredential, MicrosoftAzureBuilder};
//! use token_cache_azure::{AccessToken, AzureSource};
//!
//! # use azure_core::credentials::{self, TokenCredential, TokenRequestOptions};
//! # #[derive(Debug)]
//! # struct Fixed;
//! # #[async_trait::async_trait]
//! # impl TokenCredential for Fixed {
//! #     async fn get_token(
//! #         &self, _: &[&str], _: Option<TokenRequestOptions<'_>>,
//! #     ) -> azure_core::Result<credentials::AccessToken> {
//! #         let now = azure_core::time::OffsetDateTime::now_utc();
//! #         Ok(credentials::AccessToken::new("token-1", now + std::time::Duration::from_secs(3600)))
//! #     }
//! # }
//! # let credential = Arc::new(Fixed);
//! // let credential = azure_identity::ManagedIdentityCredential::new(None)?;
//! let cache = AzureSource::new(credential).cache().build();
//! let builder = MicrosoftAzureBuilder::new()
//!     .with_account("account")
//!     .with_container_name("container")
//!     .with_credentials(Arc::new(cache.view(AccessToken::to::<AzureCredential>)));
//! assert_eq!(cache.get().await?.secret(), "token-1"); // and each request of the store
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "object_store-0_14"))]
//! # fn main() {}
//! ```
//!
//! Entra ID's `refresh_in` is not used: azure_core's token has only its expiry. azure_identity keeps its own cache, which
//! returns the same token until 5 minutes before it expires, also after a service has rejected it.
//!
//! # Kubernetes
//!
//! `WorkloadIdentityCredential` of azure_identity keeps the service account token of the pod for up to 10 minutes, and reads the
//! file again after that. The client `assertion_file` of token-cache-oauth2 reads it for each request, and needs no SDK: use
//! `https://login.microsoftonline.com/TENANT/oauth2/v2.0/token` and the scope `https://storage.azure.com/.default`.
//!
//! # Errors
//!
//! Status 400 and 401 of Entra ID and of the metadata server are [permanent](token_cache_core::permanent): an expired secret, an
//! unknown tenant or identity. All others are transient. `Retry-After` delays the next fetch.
//!
//! # Features
//!
//! - `object_store-0_14` (by default), `object_store-0_13`, `object_store-0_12`: `AccessToken::to::<AzureCredential>` of that version.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod source;

pub use token_cache_core;
pub use token_cache_oauth2::AccessToken;

pub use crate::error::AzureError;
pub use crate::source::AzureSource;

#[cfg(all(doctest, feature = "object_store-0_14"))]
#[doc = include_str!("../README.md")]
mod readme {}
