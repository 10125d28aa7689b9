//! Google Cloud access tokens for object_store and HTTP clients.
//!
//! ```
//! # #[cfg(feature = "object_store-0_14")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
//! use token_cache_gcp::{AccessToken, MetadataServer};
//!
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     let (mut stream, _) = listener.accept().await.unwrap();
//! #     stream.read(&mut [0; 4096]).await.unwrap();
//! #     let body = r#"{"access_token":"token-1","expires_in":3599,"token_type":"Bearer"}"#;
//! #     let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
//! #     stream.write_all(answer.as_bytes()).await.unwrap();
//! # });
//! let source = MetadataServer::new()?;
//! # let source = MetadataServer::at(&url)?;
//! let cache = source.cache().build();
//! let store = GoogleCloudStorageBuilder::new()
//!     .with_bucket_name("bucket")
//!     .with_credentials(Arc::new(cache.view(AccessToken::to::<GcpCredential>)))
//!     .build()?;
//! assert_eq!(cache.get().await?.secret(), "token-1"); // and each request of the store
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "object_store-0_14"))]
//! # fn main() {}
//! ```
//!
//! # google-cloud-auth
//!
//! With the feature `google-cloud-auth`, a function of that name makes a source of the credentials that it finds: service account
//! keys, and workload identity federation. On Google Cloud, prefer the metadata server: the token's expiry is known, a rejected
//! token is replaced, nothing runs without reads, and the cache recovers from every error. google-cloud-auth stops refreshing
//! after an error that it considers permanent (<https://github.com/googleapis/google-cloud-rust/issues/4541>).
//!
//! # Features
//!
//! - `object_store-0_14` (by default), `object_store-0_13`, `object_store-0_12`: `AccessToken::to::<GcpCredential>` of that version.
//! - `google-cloud-auth`: as above. Adds TLS.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "google-cloud-auth")]
mod google_cloud_auth;
mod metadata;

pub use token_cache_core;
pub use token_cache_oauth2::{AccessToken, FetchError};

#[cfg(feature = "google-cloud-auth")]
pub use crate::google_cloud_auth::{GoogleError, google_cloud_auth, google_cloud_auth_every};
pub use crate::metadata::MetadataServer;

#[cfg(all(doctest, feature = "object_store-0_14"))]
#[doc = include_str!("../README.md")]
mod readme {}
