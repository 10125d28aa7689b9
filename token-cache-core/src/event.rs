//! [`Event`]: what happens to a cache, except hits.

use std::time::Duration;

use crate::error::Error;

/// A change of a cache. A read that only returns the stored token emits none. Events contain no token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A fetch started.
    #[non_exhaustive]
    FetchStarted {
        /// Why it started.
        reason: FetchReason,
    },
    /// A fetch succeeded, and its token is stored, unless it was fetched for a caller of
    /// [`get_valid_for`](crate::TokenCache::get_valid_for) and does not live longer than the stored one.
    #[non_exhaustive]
    FetchSucceeded {
        /// The number of the stored token.
        generation: u64,
        /// The time until the stored token expires. `None` if it never does.
        remaining: Option<Duration>,
        /// The duration of the fetch.
        took: Duration,
    },
    /// A fetch failed. The stored token, if any, stays.
    #[non_exhaustive]
    FetchFailed {
        /// The failure, and when the next fetch can start.
        error: Error,
        /// The number of consecutive failures, including this one.
        failures: u32,
        /// The duration of the fetch.
        took: Duration,
    },
    /// The source is down, and an expired token is returned. Emitted once per token.
    #[non_exhaustive]
    ServedExpired {
        /// The number of the token.
        generation: u64,
    },
    /// A caller stored a token that comes from elsewhere.
    #[non_exhaustive]
    Stored {
        /// The number of the token.
        generation: u64,
        /// The time until the token expires. `None` if it never does.
        remaining: Option<Duration>,
    },
    /// A caller rejected the stored token, with `invalidate` or `replace`.
    #[non_exhaustive]
    Invalidated {
        /// The number of the token.
        generation: u64,
    },
}

/// Receives the events of a cache.
pub(crate) type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Why a fetch started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchReason {
    /// No token was stored yet.
    Empty,
    /// The token had expired.
    Expired,
    /// The token had been rejected.
    Invalidated,
    /// The remaining lifetime was less than the `expiry_buffer`.
    NearExpiry,
    /// A caller called [`TokenCache::refresh`](crate::TokenCache::refresh).
    Requested,
    /// The remaining lifetime was less than the `min_ttl`, or less than a caller required.
    TooShort,
}
