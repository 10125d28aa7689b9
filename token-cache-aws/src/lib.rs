//! AWS credentials that are always at hand: the SDK's own chain, cached, refreshed ahead, and put under object_store.
//!
//! ```
//! use object_store::{ObjectStoreExt, aws::AmazonS3Builder, path::Path};
//! use token_cache_aws::AwsTokenCache;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let kit = token_cache_testing::aws::Aws::builder().start().await?;
//! # kit.s3().create_bucket("bucket")?;
//! # let session = kit.issuer().new_session();
//! # let credentials = aws_credential_types::Credentials::new(
//! #     session.access_key_id(), session.secret_access_key(), session.session_token().map(str::to_owned),
//! #     session.expires_at(), "example");
//! # let config = token_cache_aws::defaults().region("us-east-1").endpoint_url(kit.s3().endpoint())
//! #     .credentials_provider(credentials).load().await;
//! let aws = AwsTokenCache::from_sdk_config(&config)?; // or from_env(): whatever the SDK's default chain finds
//! let store = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
//! store.put(&Path::from("hello"), "world".into()).await?;
//! assert_eq!(store.get(&Path::from("hello")).await?.bytes().await?, "world");
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
#[cfg(feature = "chain")]
mod chain;
mod error;
mod location;
#[cfg(feature = "_object_store")]
mod provider;
#[cfg(feature = "chain")]
mod registry;
mod rejected;
#[cfg(feature = "_object_store")]
mod retry;
#[cfg(feature = "chain")]
mod role;
mod sdk;
mod source;

pub use token_cache_core;

pub use crate::cache::{AwsTokenCache, builder};
#[cfg(feature = "chain")]
pub use crate::chain::defaults;
pub use crate::error::{ConfigError, FetchError, is_no_credentials};
#[cfg(feature = "_object_store")]
pub use crate::provider::S3Builder;
#[cfg(feature = "chain")]
pub use crate::registry::{Principal, Registry, RegistryFull};
pub use crate::rejected::{ServiceError, is_credential_rejected};
#[cfg(feature = "_object_store")]
pub use crate::retry::RetryRejected;
#[cfg(feature = "chain")]
pub use crate::role::AssumeRole;
pub use crate::source::SdkSource;

/// Its code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
