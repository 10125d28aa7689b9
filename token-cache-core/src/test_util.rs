//! Tools for deterministic tests of code that uses a cache: a clock that the test moves, a source that the test answers, a
//! log of events, and a [`Harness`] of all three. Nothing here sleeps.
//!
//! ```
//! use std::time::Duration;
//! use token_cache_core::test_util::Harness;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! const HOUR: Duration = Duration::from_secs(3600);
//! let mut harness = Harness::new();
//! harness.fetch("a", HOUR).await;
//!
//! harness.clock.advance(HOUR * 97 / 100); // into NearExpiry
//! assert_eq!(harness.get_now(), "a"); // the old token, without waiting
//! harness.source.next_fetch().await.succeed_for("b", HOUR);
//! harness.settled().await;
//! assert_eq!(harness.get_now(), "b");
//! # }
//! ```

mod clock;
mod harness;
mod log;
mod settled;
mod simulation;
mod source;

pub use self::clock::VirtualClock;
pub use self::harness::Harness;
pub use self::log::EventLog;
pub use self::settled::settled;
#[doc(hidden)]
pub use self::simulation::SimulatedCache;
pub use self::source::{Fetch, MockSource, SourceHandle, mock_source};
