//! AWS credentials that are always at hand: the SDK's own chain, cached, refreshed ahead, and put under object_store.
//!
//! ```no_run

//!
//! use object_store::{ObjectStoreExt, aws::AmazonS3Builder, path::Path};
//! use token_cache_aws::AwsTokenCache;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let aws = AwsTokenCache::from_env().await?; // any source that the SDK's default chain knows
//! let store = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
//! store.put(&Path::from("hello"), "world".into()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The providers that the SDK gives out do not cache: an adapter that asks them for each request calls STS, or the metadata
//! service, once a request. [`AwsTokenCache`] asks once a rotation, ahead of the expiry and behind the requests' backs. What
//! its callers may rely on is [`TokenCache`](token_cache_core::TokenCache)'s contract.
//!
//! # Who does what
//!
//! | what | who |
//! |---|---|
//! | finding credentials: environment, profiles, SSO, web identity, containers, instance metadata | the SDK |
//! | retries and timeouts within one fetch | the SDK |
//! | when to fetch, sharing one fetch, keeping what is good, pacing after failures | the cache |
//! | signing, and retries of a request | object_store |
//!
//! # Features
//!
//! - `object_store-0_14` (default), `object_store-0_13`: [`AwsTokenCache`] is a `CredentialProvider` of that version. Both
//!   may be on, and serve from one cache. They bring no HTTP client but what that version cannot do without.

mod buffer;
mod cache;
mod error;
mod location;
mod provider;
mod source;

pub use token_cache_core;

pub use crate::cache::{AwsTokenCache, builder};
pub use crate::error::{ConfigError, FetchError};
pub use crate::provider::S3Builder;
pub use crate::source::{SdkSource, defaults};
