//! [`Status`]: what a cache knows, at one moment.

use std::time::Duration;

use crate::error::Error;

/// What [`TokenCache::status`](crate::TokenCache::status) saw. It holds no token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// How many tokens have been stored so far; the number of the one stored last.
    pub generation: u64,
    /// How good the stored token still is.
    pub freshness: Freshness,
    /// How long ago the token was stored.
    pub age: Option<Duration>,
    /// Time until the token expires. `None` without a token, or with one that never expires.
    pub remaining: Option<Duration>,
    /// Whether the token is handed out although it has expired, by `stale_if_error`.
    pub serving_expired: bool,
    /// Whether a fetch is under way.
    pub refreshing: bool,
    /// Failed fetches in a row.
    pub failures: u32,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<Error>,
    /// How long until a fetch may begin, by the pacing. Zero if it may at once.
    pub next_attempt: Duration,
}

/// How good a stored token is, by the time it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// No token is stored, or the one there was has been invalidated.
    Empty,
    /// Handed out.
    Fresh,
    /// Less than the `expiry_buffer` is left: handed out, while a new one is fetched in the background.
    NearExpiry,
    /// Less than the `min_ttl` is left: a new one is fetched first, but what is left is handed out if that takes long or
    /// fails.
    TooShort,
    /// Of no use: a new one is fetched first.
    Expired,
}
