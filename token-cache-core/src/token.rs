//! [`TemporaryToken`]: what a source answers with.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::clock::{Deadline, TimePoint};

/// A token, and until when it works.
///
/// Its `Debug` shows the times and never the token.
#[must_use]
pub struct TemporaryToken<T> {
    value: T,
    expiry: Expiry,
    refresh_at: Option<SystemTime>,
}

enum Expiry {
    At(SystemTime),
    In(Duration),
    Never,
}

impl<T> TemporaryToken<T> {
    /// A token that works until `expires_at`, for issuers that say when.
    ///
    /// One that has already expired is a failed fetch: the cache keeps what it has.
    pub const fn new(value: T, expires_at: SystemTime) -> Self {
        Self { value, expiry: Expiry::At(expires_at), refresh_at: None }
    }

    /// A token that works for `lifetime`, for issuers that say for how long (`expires_in` of OAuth2).
    ///
    /// Counted from the start of the fetch, which is before the issuer began to count.
    pub const fn expires_in(value: T, lifetime: Duration) -> Self {
        Self { value, expiry: Expiry::In(lifetime), refresh_at: None }
    }

    /// A token that works until it is [invalidated](crate::TokenCache::invalidate). It is never refreshed by itself.
    pub const fn never_expires(value: T) -> Self {
        Self { value, expiry: Expiry::Never, refresh_at: None }
    }

    /// The issuer's own word on when to fetch the next one. It takes the place of the cache's
    /// [`expiry_buffer`](crate::TokenCacheBuilder::expiry_buffer) for this token.
    pub const fn refresh_at(mut self, refresh_at: SystemTime) -> Self {
        self.refresh_at = Some(refresh_at);
        self
    }

    /// The token itself, and when it expires and when its issuer wants it refreshed, for a fetch begun at `start`.
    pub(crate) fn dated(self, start: TimePoint) -> (T, Deadline, Option<Deadline>) {
        let expires = match self.expiry {
            Expiry::At(wall) => Deadline::at(wall, start),
            Expiry::In(lifetime) => Deadline::after(start, lifetime),
            Expiry::Never => Deadline::NEVER,
        };
        (self.value, expires, self.refresh_at.map(|wall| Deadline::at(wall, start)))
    }
}

impl<T> fmt::Debug for TemporaryToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TemporaryToken");
        match self.expiry {
            Expiry::At(wall) => debug.field("expires_at", &wall),
            Expiry::In(lifetime) => debug.field("expires_in", &lifetime),
            Expiry::Never => debug.field("expires_at", &"never"),
        };
        debug.field("refresh_at", &self.refresh_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p22_debug_shows_the_times_and_not_the_token() {
        let token = TemporaryToken::expires_in("hunter2", Duration::from_secs(60));
        let text = format!("{token:?} {token:#?}");
        assert!(text.contains("60s") && !text.contains("hunter2"), "{text}");
    }
}
