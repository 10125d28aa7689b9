//! Everything a test of a token cache needs: a source that answers when the test says so, a clock that the test moves,
//! and a log of what happened. No sleeps.
//!
//! ```
//! use std::time::Duration;
//! use token_cache_core::{TemporaryToken, TokenCache};
//! use token_cache_testing::{VirtualClock, mock_source};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const HOUR: Duration = Duration::from_secs(3600);
//! let clock = VirtualClock::new();
//! let (source, mut handle) = mock_source();
//! let cache = TokenCache::builder(source).clock(clock.clone()).build();
//!
//! let first = tokio::spawn({
//!     let cache = cache.clone();
//!     async move { cache.get().await }
//! });
//! handle.next_fetch().await.succeed(TemporaryToken::new("a", clock.after(HOUR)));
//! assert_eq!(*first.await??, "a");
//!
//! clock.advance(HOUR * 97 / 100); // inside the expiry buffer
//! assert_eq!(*cache.get().await?, "a"); // the old one, at once
//! handle.next_fetch().await.succeed(TemporaryToken::new("b", clock.after(HOUR)));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "aws")]
pub mod aws;
mod clock;
mod log;
mod source;

pub use crate::clock::VirtualClock;
pub use crate::log::EventLog;
pub use crate::source::{Fetch, MockSource, SourceHandle, mock_source};
