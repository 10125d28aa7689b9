//! Serves cached tokens to all processes of a host, in any language.
//!
//! An SDK that finds its credentials in the environment fetches them in each process. [`Agent`] is a small HTTP server on loopback
//! that answers all of them from one cache. It speaks protocols that the SDKs already know:
//!
//! - AWS: container credentials, `AWS_CONTAINER_CREDENTIALS_FULL_URI` with `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`
//!   ([reference](https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html)). SDKs from before 2024 do not
//!   know the file: set `AWS_CONTAINER_AUTHORIZATION_TOKEN` to its content.
//! - Azure: managed identity, `IDENTITY_ENDPOINT` with `IDENTITY_HEADER`
//!   ([reference](https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference)).
//! - Google Cloud: the metadata server, `GCE_METADATA_HOST`
//!   ([reference](https://cloud.google.com/compute/docs/metadata/querying-metadata)). This protocol has no secret: every process
//!   that reaches the port gets tokens.
//!
//! ```
//! use std::time::Duration;
//! use aws_credential_types::Credentials;
//! use token_cache_agent::{Agent, Listener, Secret};
//! use token_cache_core::{TemporaryToken, TokenCache, source_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = TokenCache::builder(source_fn(|| async {
//!     // Usually `AwsTokenCache::from_env().await.cache().clone()`.
//!     let session = Credentials::new("AKIA", "secret", Some("session".to_owned()), None, "example");
//!     Ok::<_, std::io::Error>(TemporaryToken::expires_in(session, Duration::from_secs(3600)))
//! }))
//! .expiry_buffer_by(token_cache_agent::expiry_buffer)
//! .build();
//! let agent = Agent::new(Secret::random()?).aws(cache);
//! let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
//! println!("AWS_CONTAINER_CREDENTIALS_FULL_URI={}", listener.aws_url());
//! agent.serve(listener, async { /* until the program ends */ }).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is refused
//!
//! A request is answered only if its secret matches, which is compared in constant time, if it is a `GET`, if its `Host` is the
//! agent's own (a page in a browser could otherwise reach it through DNS rebinding), and if it has no header that a proxy or a
//! browser adds: `Forwarded`, `X-Forwarded-*`, `Via`, `Origin`, `Referer`, `Sec-Fetch-*`. Headers have to arrive within 5 seconds
//! and fit into 16 KiB. The agent listens only on loopback addresses or a Unix socket.
//!
//! # When a token cannot be fetched
//!
//! The answer is 503 with `Retry-After`, and without the reason, which is in the log of the agent. SDKs keep the token that they
//! have and try again.
//!
//! # Windows
//!
//! SDKs ask again some time before the expiry: 15 minutes in botocore. The agent has to refresh before that, or each request of
//! each process would ask it: [`expiry_buffer`] is half of the lifetime.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod agent;
mod aws;
mod azure;
mod google;
mod guard;
mod listener;
mod secret;

pub use crate::agent::{Agent, expiry_buffer};
pub use crate::listener::Listener;
pub use crate::secret::Secret;
