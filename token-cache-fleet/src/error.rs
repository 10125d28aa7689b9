//! [`FleetError`]: why a shared source has no token.

use std::time::Duration;

use token_cache_core::BoxError;

/// An error of a [`SharedSource`](crate::SharedSource), beside those of the source that it shares.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// Another process has failed to fetch the token, a few seconds ago. Its error, at most 300 characters.
    #[error("another process failed to fetch the token: {0}")]
    Elsewhere(String),
    /// The pusher of a [pushed source](crate::pushed) was dropped.
    #[error("there will be no more tokens: the pusher was dropped")]
    NoPusher,
    /// The store failed.
    #[error("the store for shared tokens failed")]
    Store(#[source] BoxError),
    /// The store did not respond.
    #[error("the store for shared tokens did not respond within {0:?}")]
    StoreTimedOut(Duration),
    /// A sealed token could not be opened: it was sealed with another key or under another name, or it was changed.
    #[error("the sealed token cannot be opened: check that both sides have the same key and name")]
    Unsealable,
    /// The token could not be sealed: the system has no random numbers.
    #[error("the token cannot be sealed: the system has no random numbers")]
    NoRandom,
}
