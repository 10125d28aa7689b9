//! Tools for tests of programs that use a token cache: a clock that the test moves, a source that the test answers, and a log
//! of events. With the feature `aws`, also S3, STS and the metadata services on loopback.
//!
//! ```
//! use std::time::Duration;
//! use token_cache_testing::Harness;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! const HOUR: Duration = Duration::from_secs(3600);
//! let mut harness = Harness::new(); // a cache, its source, its clock and its event log
//! harness.fetch("a", HOUR).await;
//!
//! harness.clock.advance(HOUR * 97 / 100); // into the expiry buffer
//! assert_eq!(harness.get_now(), "a"); // the old token, without waiting
//! harness.succeed("b", HOUR).await; // answers the fetch in the background
//! assert_eq!(harness.get_now(), "b");
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "aws")]
pub mod aws;

pub use token_cache_core::test_util::{
    EventLog, Fetch, Harness, MockSource, SourceHandle, VirtualClock, mock_source, settled,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
