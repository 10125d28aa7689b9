//! [`Status`]: the state of a cache at one moment.

use std::time::Duration;

use crate::error::Error;

/// The state of a cache, from [`TokenCache::status`](crate::TokenCache::status). It contains no token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The number of tokens stored so far, which is also the number of the latest one.
    pub generation: u64,
    /// The freshness of the stored token.
    pub freshness: Freshness,
    /// The time since the token was stored. `None` without a token.
    pub age: Option<Duration>,
    /// The time until the token expires. `None` without a token, or if it never expires.
    pub remaining: Option<Duration>,
    /// The time until the first read that causes a refresh. Zero if it is due. `None` without a token, or if it is never due.
    pub until_refresh: Option<Duration>,
    /// Whether an expired token is returned, because of `stale_if_error`.
    pub serving_expired: bool,
    /// Whether a fetch runs.
    pub fetch: FetchState,
    /// The number of consecutive failed fetches.
    pub failures: u32,
    /// The error of the last fetch, if it failed.
    pub last_error: Option<Error>,
    /// The time until a fetch can start. Zero if it can start now.
    pub next_attempt: Duration,
}

/// Whether a cache fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchState {
    /// It does not.
    Idle,
    /// A fetch waits for its start: for the end of the `min_refresh_interval`, or for its runtime.
    Waiting,
    /// A fetch runs.
    Running,
}

/// The freshness of a stored token, by its remaining lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// No token is stored: none was fetched yet, or it was invalidated.
    Empty,
    /// The token is returned.
    Fresh,
    /// Less than the `expiry_buffer` remains: the token is returned, and a new one is fetched in the background.
    NearExpiry,
    /// Less than the `min_ttl` remains: callers wait for a new token, for at most 10 % of what remains. Then they get the
    /// stored one.
    TooShort,
    /// The token has expired: callers wait for a new one.
    Expired,
}
