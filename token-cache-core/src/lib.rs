//! A cache for tokens that expire: one fetch for all callers, refreshed before the expiry.
//!
//! ```
//! use std::time::Duration;
//! use token_cache_core::{TemporaryToken, TokenCache, source_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), token_cache_core::Error> {
//! let cache = TokenCache::builder(source_fn(|| async {
//!     // Request a token from its issuer.
//!     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
//! }))
//! .build();
//!
//! let token = cache.get().await?; // fetched
//! assert_eq!(*token, "token");
//! assert!(std::sync::Arc::ptr_eq(&token, &cache.get().await?)); // cached
//!
//! cache.invalidate(&token); // after a service has answered 401
//! assert!(cache.peek().is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! ```text
//!  stored            expires_at - expiry_buffer      expires_at - min_ttl     expires_at
//!    |------- Fresh -------|--------- NearExpiry ---------|----- TooShort ------|-- Expired -->
//!    return it             return it, refresh             fetch first, else      fetch first, else
//!                          in the background              return what is left    one shared error
//! ```
//!
//! - While a usable token is cached, [`get`](TokenCache::get) never blocks on a lock, the network or another caller. A hit
//!   takes no lock and does not allocate, also while a refresh runs or a backoff lasts.
//! - It never returns an expired token, and never an error while an unexpired one is stored. A failing source never evicts a
//!   cached token.
//! - At most one fetch runs at a time. It belongs to no caller: dropping a future cancels nothing for others. All callers who
//!   wait for it get its one result, success or error.
//! - Fetches are paced: by the [`min_refresh_interval`](TokenCacheBuilder::min_refresh_interval) after a success, and by an
//!   exponential backoff after failures.
//! - The buffers scale with the token's lifetime, so a token of ten seconds works as well as one of twelve hours.
//! - The expiry is kept in wall time and in monotonic time, and the stricter one counts.
//! - No `Debug`, error or event contains a token.
//!
//! Optional: [`initial`](TokenCacheBuilder::initial) seeds the cache,
//! [`stale_if_error`](TokenCacheBuilder::stale_if_error) bridges a longer outage of the issuer,
//! [`keep_warm`](TokenCacheBuilder::keep_warm) refreshes without reads, and [`subscribe`](TokenCache::subscribe) reports new
//! tokens.
//!
//! # Features
//!
//! None is enabled by default. The label and field `cache` is the [`name`](TokenCacheBuilder::name) of the cache.
//!
//! - `tracing`: a span `token_fetch` (fields `cache`, `reason`) for each fetch, and an event for each [`Event`]: `info` for a
//!   new and an invalidated token, `warn` for an expired token that is served and for the first, second, fourth, eighth, ...
//!   consecutive failure, `debug` for the rest.
//! - `metrics`: the counters `token_cache_fetches_total` (labels `cache`, `outcome`: `ok` or `failed`),
//!   `token_cache_invalidations_total` and `token_cache_served_expired_total` (`cache`), the histogram
//!   `token_cache_fetch_seconds` (`cache`, `outcome`; seconds) and the gauge `token_cache_failures` (`cache`; consecutive
//!   failures).
//! - `tower`: `BearerLayer` adds tokens to HTTP and gRPC requests, and retries those whose token was rejected.
//! - `object_store-0_12`, `object_store-0_13`, `object_store-0_14`: [`TokenCache`] and [`View`] implement the
//!   `CredentialProvider` of that version. They can be combined. 0.14 adds no HTTP client and no cryptography.
//! - `reqsign-3`: both implement the `ProvideCredential` of reqsign-core 3, for OpenDAL and Iceberg.
//! - `test-util`: the module `test_util` with a virtual clock, a mock source and a harness. Use it through the crate
//!   `token-cache-testing`.
//!
//! # Use with object_store
//!
//! Pass a cache of the store's credential type, or a view that converts another token, to `with_credentials`:
//!
//! ```
//! # #[cfg(feature = "object_store-0_14")] {
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
//! use object_store::azure::{AzureCredential, MicrosoftAzureBuilder};
//! use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
//!
//! # let source = source_fn(|| async {
//! #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
//! # });
//! let cache: TokenCache<String> = TokenCache::builder(source).build();
//! let google = cache.view(|token| GcpCredential { bearer: token.clone() });
//! let azure = cache.view(|token| AzureCredential::BearerToken(token.clone()));
//!
//! let google = GoogleCloudStorageBuilder::new().with_credentials(Arc::new(google));
//! let azure = MicrosoftAzureBuilder::new().with_credentials(Arc::new(azure));
//! # }
//! ```
//!
//! # Guide
//!
//! [`guide`]: many keys, synchronous programs, your own tests, the settings, observability, replacing a hand-written provider,
//! outages.
//!
//! # Design
//!
//! [`design`] says why the cache is as it is, with links to the reports behind it.
//!
//! # Performance
//!
//! [`performance`] has the cost of a hit, a rotation and a cold start, next to other caches.
//!
//! # Limits
//!
//! A cache holds one token; `TokenCaches` (feature `keyed`) holds one cache per key. It stores nothing on disk. It does not
//! retry within a fetch; retrying is up to the source.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tower")]
mod bearer;
#[doc = include_str!("design.md")]
pub mod design {}
#[doc = include_str!("guide.md")]
pub mod guide {}
#[doc = include_str!("performance.md")]
pub mod performance {}

mod builder;
mod cache;
#[cfg(feature = "keyed")]
mod caches;
mod clock;
mod config;
mod deadline;
mod driver;
mod error;
mod event;
mod fetch;
mod inner;
mod jitter;
#[cfg_attr(not(feature = "keyed"), expect(dead_code, reason = "only caches by key have limits"))]
mod limiter;
#[cfg(any(feature = "object_store-0_12", feature = "object_store-0_13", feature = "object_store-0_14"))]
mod object_store;
mod pending;
#[cfg(feature = "reqsign-3")]
mod reqsign;
mod rt;
mod snapshot;
mod source;
mod state;
mod status;
mod subscription;
mod telemetry;
#[cfg(feature = "test-util")]
pub mod test_util;
mod token;
mod view;

pub use async_trait::async_trait;

#[cfg(feature = "tower")]
pub use crate::bearer::{Bearer, BearerLayer, GrpcStatus, GrpcStatusLayer, ReplayBody};
pub use crate::builder::TokenCacheBuilder;
pub use crate::cache::{TokenCache, TokenWithTimes, WeakTokenCache};
#[cfg(feature = "keyed")]
pub use crate::caches::{CachesStatus, TokenCaches, TokenCachesBuilder};
pub use crate::clock::{Clock, SystemClock, TimePoint};
pub use crate::error::{Error, ErrorKind};
pub use crate::event::{Event, FetchReason};
#[cfg(token_cache_loom)]
#[doc(hidden)]
pub use crate::rt::block_on;
pub use crate::source::{BoxError, TokenSource, permanent, requested_delay, retry_after, source_fn};
pub use crate::status::{FetchState, Freshness, Status};
pub use crate::subscription::Subscription;
pub use crate::token::TemporaryToken;
pub use crate::view::View;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
