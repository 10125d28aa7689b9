//! AWS credentials for object_store and the AWS SDK: the SDK's provider chain, cached and refreshed in the background.
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
//! let aws = AwsTokenCache::from_sdk_config(&config)?; // or from_env(), for the SDK's default chain
//! let store = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
//! store.put(&Path::from("hello"), "world".into()).await?;
//! assert_eq!(store.get(&Path::from("hello")).await?.bytes().await?, "world");
//! # Ok(())
//! # }
//! ```
//!
//! The SDK's credentials providers do not cache: an adapter that calls one for each request calls STS or the metadata
//! service for each request. [`AwsTokenCache`] makes one call per rotation, in the background, before expiry. See
//! [`TokenCache`](token_cache_core::TokenCache) for what a caller can rely on.
//!
//! # Sources and clients
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
//! let config = aws.sdk_config(); // for clients of the SDK, on the same cache
//! # Ok(())
//! # }
//! ```
//!
//! - One shared cache per process, with an error at startup if there are no credentials: [`AwsTokenCache::process`].
//! - Settings of the cache, over the default chain or a profile: [`AwsTokenCache::builder`].
//! - Many roles and profiles, with one cache each: [`Registry`].
//! - Buckets with public access: [`AwsTokenCache::configure_or_anonymous`].
//! - Credentials that a service rejects: [`is_credential_rejected`] detects it, [`AwsTokenCache::retry_rejected`]
//!   retries.
//!
//! # Division of work
//!
//! | task | done by |
//! |---|---|
//! | find credentials: environment, profiles, SSO, web identity, containers, instance metadata | the SDK |
//! | read the environment and the profile files, use no other identity than the configured one | this crate |
//! | retry and time out the requests of one fetch | the SDK |
//! | decide when to fetch, share one fetch, keep valid credentials through an outage, back off | the cache |
//! | sign requests and retry them | object_store |
//! | sign a rejected request again with new credentials | this crate, with object_store's signer |
//!
//! # OpenDAL and Iceberg
//!
//! Both sign with reqsign, which accepts any `ProvideCredential`. [`AwsTokenCache`] implements it if the feature
//! `reqsign-3` is enabled, so `CustomAwsCredentialLoader::new(aws.clone())` is all that Iceberg needs, and
//! `credential_provider_chain` takes it in OpenDAL.
//!
//! reqsign keeps a copy until two minutes before `expires_in`, and does not sign with less than ten seconds left. It logs the
//! error of a provider and goes on without credentials, so that its user only reads "failed to load signing credential".
//! The reason is in the log of the cache (`token refresh failed`, if its feature `tracing` is enabled), in
//! [`Status::last_error`](token_cache_core::Status::last_error) and in the events of
//! [`on_event`](token_cache_core::TokenCacheBuilder::on_event).
//!
//! # Features
//!
//! Enabled by default: `chain`, `https`, `object_store-0_14`, `process`, `sso`. Without any feature, the crate caches
//! any `ProvideCredentials` or `SdkConfig`, and depends on neither HTTP nor crypto.
//!
//! - `object_store-0_12`, `object_store-0_13`, `object_store-0_14`: [`AwsTokenCache`] implements `CredentialProvider`
//!   of that version. Several can be enabled together and share one cache. 0.14 adds neither an HTTP client nor
//!   crypto; the older versions do.
//! - `reqsign-3`: [`AwsTokenCache`] implements `ProvideCredential` of reqsign-core 3.
//! - `chain`: the SDK's default chain, profiles, roles, the registry, and the configuration for SDK clients. Adds
//!   `aws-config` and STS.
//! - `process`, `sso`, `login`: profiles with a `credential_process`, of SSO, and of `aws login`.
//! - `fleet`: the sessions of a role, shared among the processes of a fleet with token-cache-fleet.
//! - `https`: the SDK's default HTTP client, with rustls over aws-lc. `https-ring`: the same over ring, unless
//!   `https` is enabled. Without either, pass a client to `defaults().http_client(..)`; otherwise everything that
//!   needs HTTP fails.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(docsrs, doc(auto_cfg(hide(feature = "_object_store", feature = "_views"))))]

mod cache;
#[cfg(feature = "chain")]
mod cache_builder;
#[cfg(feature = "chain")]
mod chain;
#[cfg(feature = "fleet")]
mod codec;
mod credential_cache;
#[cfg(feature = "chain")]
mod defaults;
mod endpoint;
mod error;
#[cfg(any(feature = "chain", feature = "_object_store"))]
mod error_body;
#[cfg(feature = "chain")]
mod http_client;
#[cfg(feature = "chain")]
mod identity;
#[cfg(feature = "chain")]
mod process;
#[cfg(feature = "_views")]
mod provider;
#[cfg(feature = "chain")]
mod registry;
mod rejected;
#[cfg(feature = "reqsign-3")]
mod reqsign;
#[cfg(feature = "_object_store")]
mod retry;
#[cfg(feature = "chain")]
mod role;
#[cfg(feature = "_object_store")]
mod s3_builder;
mod sdk;
mod source;

pub use token_cache_core;

pub use crate::cache::AwsTokenCache;
#[cfg(feature = "chain")]
pub use crate::cache_builder::AwsTokenCacheBuilder;
#[cfg(feature = "fleet")]
pub use crate::codec::AwsCodec;
pub use crate::credential_cache::credential_cache;
#[cfg(feature = "chain")]
pub use crate::defaults::defaults;
pub use crate::error::{ConfigError, FetchError, is_no_credentials};
#[cfg(feature = "chain")]
pub use crate::identity::IdentitySpec;
#[cfg(feature = "chain")]
pub use crate::registry::{Registry, RegistryError};
pub use crate::rejected::{ServiceError, is_credential_rejected};
#[cfg(feature = "_object_store")]
pub use crate::retry::RetryRejected;
#[cfg(feature = "chain")]
pub use crate::role::AssumeRole;
#[cfg(feature = "_object_store")]
pub use crate::s3_builder::S3Builder;
pub use crate::source::SdkSource;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
