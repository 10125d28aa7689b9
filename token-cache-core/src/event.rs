//! [`Event`]: what happens to a cache, off the path of a hit.

use std::time::Duration;

use crate::error::Error;

/// Something that happened to a cache. Reading a token that is at hand emits nothing. It holds no token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The source is being asked.
    #[non_exhaustive]
    FetchStarted {
        /// Why.
        reason: FetchReason,
    },
    /// A new token is stored.
    #[non_exhaustive]
    FetchSucceeded {
        /// Its number.
        generation: u64,
        /// Time until it expires. `None` if it never does.
        remaining: Option<Duration>,
        /// How long the fetch took.
        took: Duration,
    },
    /// No new token could be had. The one stored, if any, stays.
    #[non_exhaustive]
    FetchFailed {
        /// Why, and when the next attempt is due.
        error: Error,
        /// How many fetches in a row have failed, with this one.
        failures: u32,
        /// How long the fetch took.
        took: Duration,
    },
    /// The source is down, and a token that has expired was handed out. Told once a decision, not once a caller.
    #[non_exhaustive]
    ServedExpired {
        /// Its number.
        generation: u64,
    },
    /// A caller has dropped the stored token.
    #[non_exhaustive]
    Invalidated {
        /// Its number.
        generation: u64,
    },
}

/// Who is told.
pub(crate) type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Why a fetch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchReason {
    /// There had been no token.
    Empty,
    /// The token had expired.
    Expired,
    /// The token had been invalidated.
    Invalidated,
    /// Less than the `expiry_buffer` was left.
    NearExpiry,
    /// [`TokenCache::refresh`](crate::TokenCache::refresh) asked for it.
    Requested,
    /// Less than the `min_ttl` was left.
    TooShort,
}
