//! AWS credentials that are always at hand: the SDK's own chain, cached, refreshed ahead, and put under object_store.
//!
//! ```
//! use object_store::{ObjectStoreExt, aws::AmazonS3Builder, path::Path};
//! use token_cache_aws::AwsTokenCache;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
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
//! # From where, and whereto
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use object_store::{aws::AmazonS3Builder, client::ReqwestConnector};
//! use token_cache_aws::{AssumeRole, AwsTokenCache};
//!
//! let base = AwsTokenCache::from_profile("hub").await; // or from_env(), from_sdk_config(..), from_provider(..)
//! let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").external_id("tenant-7");
//! let aws = base.assume_role(&role).await;
//!
//! let store = aws
//!     .configure(AmazonS3Builder::new().with_bucket_name("bucket")) // of object_store 0.12, 0.13 or 0.14
//!     .with_http_connector(aws.retry_rejected(ReqwestConnector::default()))
//!     .build()?;
//! let sdk = aws.sdk_config(); // for clients of the SDK, on the same cache
//! # Ok(())
//! # }
//! ```
//!
//! - One instance for the process that fails early: [`AwsTokenCache::try_new`], and [`AwsTokenCache::default_region`]. Many
//!   roles and profiles, one cache each: [`Registry`].
//! - Buckets that are open to everybody: [`AwsTokenCache::configure_or_anonymous`].
//! - Credentials that a service has rejected: [`is_credential_rejected`] tells, [`AwsTokenCache::retry_rejected`] gets over it.
//!
//! # Who does what
//!
//! | what | who |
//! |---|---|
//! | finding credentials: environment, profiles, SSO, web identity, containers, instance metadata | the SDK |
//! | that no other identity takes the place of the one that is configured | this crate |
//! | retries and timeouts within one fetch | the SDK |
//! | when to fetch, sharing one fetch, keeping what is good, pacing after failures | the cache |
//! | signing, and retries of a request | object_store |
//! | signing anew what was rejected | this crate, with object_store's signature |
//!
//! # Under OpenDAL and Iceberg
//!
//! They sign with reqsign, and take any `ProvideCredential` of it. A view is one, with the feature `reqsign-3` of
//! `token-cache-core`:
//!
//! ```
//! # use std::time::UNIX_EPOCH;
//! use reqsign_aws_v4::Credential;
//! use reqsign_core::time::Timestamp;
//!
//! # fn example(aws: token_cache_aws::AwsTokenCache) -> impl reqsign_core::ProvideCredential<Credential = Credential> {
//! let loader = aws.cache().view(|credentials| {
//!     let expiry = credentials.expiry().and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok());
//!     Credential {
//!         access_key_id: credentials.access_key_id().to_owned(),
//!         secret_access_key: credentials.secret_access_key().to_owned(),
//!         session_token: credentials.session_token().map(str::to_owned),
//!         expires_in: expiry.and_then(|since| Timestamp::from_millisecond(since.as_millis() as i64).ok()),
//!     }
//! });
//! # loader
//! # }
//! ```
//!
//! reqsign keeps a copy until two minutes before its `expires_in`, and refuses to sign with less than ten seconds left.
//!
//! # Features
//!
//! On by default: `chain`, `https`, `object_store-0_14`, `process`, `sso`. With none of them there is what takes any
//! `ProvideCredentials` and any `SdkConfig`, in 70 crates and without HTTP or crypto.
//!
//! - `object_store-0_12`, `object_store-0_13`, `object_store-0_14`: [`AwsTokenCache`] is a `CredentialProvider` of that version.
//!   Any of them may be on together, and serve from one cache. 0.14 brings neither an HTTP client nor crypto; the older ones
//!   cannot do without.
//! - `chain`: the SDK's default chain, profiles, roles, the registry, and the SDK's clients. It brings `aws-config` and STS.
//! - `process`, `sso`, `login`: what profiles may name beside keys and roles: `credential_process`; SSO; `aws login`.
//! - `https`: the SDK's own HTTP client, over rustls and aws-lc. `https-ring` is the same over ring, and counts where `https`
//!   is off. With neither, a client comes with `defaults().http_client(..)`; without one, what needs HTTP fails.

mod buffer;
mod cache;
#[cfg(feature = "chain")]
mod chain;
mod error;
#[cfg(feature = "chain")]
mod http;
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
pub use crate::registry::{IdentitySpec, Registry, RegistryFull};
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
