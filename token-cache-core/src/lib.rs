//! A cache for tokens that expire: one fetch for all who ask, refreshed before the expiry, and never in a caller's way.
//!
//! ```
//! use std::time::Duration;
//! use token_cache_core::{TemporaryToken, TokenCache, source_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), token_cache_core::Error> {
//! let cache = TokenCache::builder(source_fn(|| async {
//!     // Ask whoever issues the tokens.
//!     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
//! }))
//! .build();
//!
//! let token = cache.get().await?; // fetched
//! assert_eq!(*token, "token");
//! assert!(std::sync::Arc::ptr_eq(&token, &cache.get().await?)); // at hand
//!
//! cache.invalidate(&token); // the service has answered 401
//! assert!(cache.peek().is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # What a caller may rely on
//!
//! ```text
//!  stored            expires_at - expiry_buffer      expires_at - min_ttl     expires_at
//!    |------- Fresh -------|--------- NearExpiry ---------|----- TooShort ------|-- Expired -->
//!    hand out              hand out, refresh behind       fetch first, else      fetch first, else
//!                                                         hand out what is left  one shared error
//! ```
//!
//! - With a token at hand, [`get`](TokenCache::get) returns without waiting: not for a lock, not for the network, not for
//!   another caller. A hit takes no lock and allocates nothing, also while a refresh is under way or a backoff runs.
//! - It never returns an expired token, and never an error while an unexpired one is stored: whatever the source does
//!   wrong, what is stored stays.
//! - There is one fetch at a time. It belongs to no caller: dropping a future cancels nobody else. All who wait for it get
//!   its one result, success or error.
//! - Fetches are paced: [`min_refresh_interval`](TokenCacheBuilder::min_refresh_interval) apart after a success, and by a
//!   growing backoff after failures.
//! - The buffers scale with the token, so that one of ten seconds works as well as one of twelve hours.
//! - Expiry is kept on the wall clock and on the monotonic one, and the stricter one counts.
//! - No `Debug`, error or event holds a token.
//!
//! By choice: [`initial`](TokenCacheBuilder::initial) seeds the cache,
//! [`stale_if_error`](TokenCacheBuilder::stale_if_error) outlives an issuer,
//! [`keep_warm`](TokenCacheBuilder::keep_warm) refreshes without being read, [`subscribe`](TokenCache::subscribe) tells of
//! new tokens.
//!
//! # Features
//!
//! None is on by default. The label and field `cache` is the [`name`](TokenCacheBuilder::name).
//!
//! - `tracing`: a span `token_fetch` (fields `cache`, `reason`) around each fetch, and one event for each [`Event`]: `info` for
//!   a new and a rejected token, `warn` for an expired one that is handed out and for the first, second, fourth, eighth ...
//!   failure in a row, `debug` for the rest.
//! - `metrics`: the counters `token_cache_fetches_total` (labels `cache`, `outcome`: `ok` or `failed`),
//!   `token_cache_invalidations_total` and `token_cache_served_expired_total` (`cache`), the histogram
//!   `token_cache_fetch_seconds` (`cache`, `outcome`; seconds) and the gauge `token_cache_failures` (`cache`; failures in a
//!   row).
//! - `tower`: `BearerLayer` puts tokens on HTTP and gRPC requests, and sends those again whose token was rejected.
//! - `object_store-0_12`, `object_store-0_13`, `object_store-0_14`: [`TokenCache`] and [`View`] are a `CredentialProvider` of
//!   that version. Any of them may be on together. 0.14 brings no HTTP client and no crypto.
//! - `reqsign-3`: both are a `ProvideCredential` of reqsign-core 3, for OpenDAL and Iceberg.
//!
//! # Under object_store
//!
//! A cache of what a store wants, or a view that makes it out of another token, goes into its `with_credentials`:
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
//! # What it costs
//!
//! A hit costs 16 ns where two clock reads cost 42: [`performance`] has the numbers, how they come about, and those of others.
//!
//! # What it does not do
//!
//! It keeps one token, not one per key; it stores nothing on disk; and it does not ask twice within one fetch, which is
//! the source's to decide.

#[cfg(feature = "tower")]
mod bearer;
#[doc = include_str!("performance.md")]
pub mod performance {}

mod builder;
mod cache;
mod clock;
mod entropy;
mod error;
mod event;
mod flight;
mod notes;
#[cfg(any(feature = "object_store-0_12", feature = "object_store-0_13", feature = "object_store-0_14"))]
mod object_store;
mod observe;
mod policy;
mod published;
#[cfg(feature = "reqsign-3")]
mod reqsign;
mod runtime;
mod shared;
mod source;
mod state;
mod status;
mod subscription;
mod sync;
mod task;
mod token;
mod view;
mod warm;

#[cfg(token_cache_loom)]
#[doc(hidden)]
pub use crate::runtime::block_on;
pub use async_trait::async_trait;

#[cfg(feature = "tower")]
pub use crate::bearer::{Bearer, BearerLayer, ReplayBody};
pub use crate::builder::TokenCacheBuilder;
pub use crate::cache::{TokenCache, WeakTokenCache};
pub use crate::clock::{Clock, SystemClock, TimePoint};
pub use crate::error::{Error, ErrorKind};
pub use crate::event::{Event, FetchReason};
pub use crate::source::{BoxError, TokenSource, permanent, source_fn};
pub use crate::status::{Freshness, Status};
pub use crate::subscription::Subscription;
pub use crate::token::TemporaryToken;
pub use crate::view::View;
