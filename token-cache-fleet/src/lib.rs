//! One fetch of a token for all processes of a host or a fleet.
//!
//! A `TokenCache` makes one fetch per process. With 96 workers on a host, or a thousand executors that start together, that is
//! still a stampede. [`SharedSource`] wraps the source of a cache, and shares each token through a store that is already there:
//!
//! ```
//! # #[cfg(feature = "files")]
//! # mod example {
//! # use std::time::Duration;
//! use token_cache_core::{TemporaryToken, TokenCache, source_fn};
//! use token_cache_fleet::{Files, Keys, SharedSource, Utf8};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let (key_file, directory) = (directory.path().join("key"), directory.path().join("tokens"));
//! # std::fs::write(&key_file, "07".repeat(32))?;
//! # let issuer = || source_fn(|| async {
//! #     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
//! # });
//! let source = SharedSource::new(issuer(), Utf8, Files::new(directory)?, "reader", Keys::from_file(key_file)?);
//! let cache = TokenCache::builder(source).build();
//! assert_eq!(*cache.get().await?, "token"); // fetched by the first process, read from a file by the others
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "files")]
//! # example::main().unwrap();
//! ```
//!
//! # Guarantees
//!
//! - A hit of the cache touches no store.
//! - While no process is killed and the store responds, there is one fetch per rotation.
//! - A failing store costs fetches, never a token: each process then fetches for itself. One that has a token first waits for the
//!   store, for half of the token's expiry buffer.
//! - No process returns a token past its expiry by its own clock. Clocks that differ by up to ten minutes cost no fetch.
//! - Tokens and errors are encrypted and authenticated before they leave the process. There is no mode without.
//! - A rejected token is replaced once for all: a process that asks again for the token that it has gets another one.
//! - A failed fetch is not repeated by each process: for 2 to 5 seconds, or as long as the issuer asked to be left alone, the
//!   others get its error.
//!
//! # Stores
//!
//! - [`Files`] (feature `files`, by default): the processes of one host and user.
//! - [`Redis`] (`redis-1`): Redis or Valkey.
//! - [`Objects`] (`object_store-0_14`): Amazon S3, Google Cloud Storage, Azure Blob Storage.
//! - [`Store`]: any other, with two methods.
//!
//! Feature `tracing`: a warning if a store fails.
//!
//! # Drivers and workers
//!
//! Where a driver has the credentials and its workers have none, no store is needed: [`seal`] and [`open`] carry a token in a
//! message, and [`pushed`] is the source of a worker.
//!
//! # For operators
//!
//! [`operation`] has sizes, the rotation of keys, what somebody who reads or writes the store can do, and when not to share.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod codec;
mod error;
mod events;
#[cfg(all(unix, feature = "files"))]
mod files;
mod keys;
#[cfg(feature = "object_store-0_14")]
mod objects;
#[doc = include_str!("operation.md")]
pub mod operation {}
mod plan;
mod pushed;
mod random;
mod record;
#[cfg(feature = "redis-1")]
mod redis;
mod sealed;
mod source;
mod store;

pub use crate::codec::{Codec, Utf8};
pub use crate::error::FleetError;
#[cfg(all(unix, feature = "files"))]
pub use crate::files::Files;
pub use crate::keys::Keys;
#[cfg(feature = "object_store-0_14")]
pub use crate::objects::Objects;
pub use crate::pushed::{PushedSource, Pusher, pushed};
#[cfg(feature = "redis-1")]
pub use crate::redis::Redis;
pub use crate::sealed::{open, seal};
pub use crate::source::SharedSource;
pub use crate::store::{Store, Version};

#[cfg(all(doctest, unix, feature = "files"))]
#[doc = include_str!("../README.md")]
mod readme {}
