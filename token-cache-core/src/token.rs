//! [`TemporaryToken`]: a token as its source returns it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::clock::TimePoint;
use crate::deadline::Deadline;

/// A token and its expiry.
///
/// `Debug` shows the times, never the token.
#[must_use]
pub struct TemporaryToken<T> {
    value: T,
    expiry: Expiry,
    refresh_at: Option<SystemTime>,
}

#[derive(Debug)]
enum Expiry {
    At(SystemTime),
    In(Duration),
    Never,
}

impl<T> TemporaryToken<T> {
    /// Creates a token that is valid until `expires_at`, for issuers that state the time of the expiry.
    ///
    /// If that time has passed when the fetch ends, the fetch has failed, and the cache keeps its stored token.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    /// let token = TemporaryToken::new("token", at);
    /// assert_eq!(token.expires_at(SystemTime::UNIX_EPOCH), Some(at));
    /// ```
    pub const fn new(value: T, expires_at: SystemTime) -> Self {
        Self { value, expiry: Expiry::At(expires_at), refresh_at: None }
    }

    /// Creates a token that is valid for `lifetime`, for issuers that state a duration (`expires_in` in
    /// [OAuth 2.0](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
    ///
    /// The lifetime counts from the start of the fetch, because the issuer starts counting after that.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let token = TemporaryToken::expires_in("token", Duration::from_secs(3600));
    /// ```
    pub const fn expires_in(value: T, lifetime: Duration) -> Self {
        Self { value, expiry: Expiry::In(lifetime), refresh_at: None }
    }

    /// Creates a token that is valid until it is [invalidated](crate::TokenCache::invalidate). The cache does not refresh it.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let token = TemporaryToken::never_expires("token");
    /// assert_eq!(token.expires_at(SystemTime::UNIX_EPOCH), None);
    /// ```
    pub const fn never_expires(value: T) -> Self {
        Self { value, expiry: Expiry::Never, refresh_at: None }
    }

    /// Sets when the issuer wants the token to be refreshed. For this token it replaces the cache's
    /// [`expiry_buffer`](crate::TokenCacheBuilder::expiry_buffer). Jitter delays the refresh by up to a tenth of the time from
    /// then to the expiry. A time that has passed when the fetch ends is ignored.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    /// let token = TemporaryToken::new("token", at).refresh_at(at - Duration::from_secs(1800));
    /// ```
    pub const fn refresh_at(mut self, refresh_at: SystemTime) -> Self {
        self.refresh_at = Some(refresh_at);
        self
    }

    /// Returns the token.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// assert_eq!(*TemporaryToken::never_expires("token").value(), "token");
    /// ```
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// Returns when the token of a fetch that started at `start` expires. `None` if it never does, or later than a
    /// `SystemTime` can represent.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let (start, lifetime) = (SystemTime::UNIX_EPOCH, Duration::from_secs(3600));
    /// assert_eq!(TemporaryToken::expires_in("token", lifetime).expires_at(start), Some(start + lifetime));
    /// ```
    pub fn expires_at(&self, start: SystemTime) -> Option<SystemTime> {
        match self.expiry {
            Expiry::At(expires_at) => Some(expires_at),
            Expiry::In(lifetime) => start.checked_add(lifetime),
            Expiry::Never => None,
        }
    }

    /// Returns when the issuer wants the token to be refreshed, as [`refresh_at`](Self::refresh_at) has set it.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    /// let token = TemporaryToken::expires_in("token", Duration::from_secs(3600));
    /// assert_eq!(token.refresh_time(), None);
    /// assert_eq!(token.refresh_at(at).refresh_time(), Some(at));
    /// ```
    pub const fn refresh_time(&self) -> Option<SystemTime> {
        self.refresh_at
    }

    /// Converts the token, and keeps its times, for a source that wraps another one.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use token_cache_core::TemporaryToken;
    /// let token = TemporaryToken::expires_in("token", Duration::from_secs(3600)).map(str::len);
    /// assert_eq!(*token.value(), 5);
    /// ```
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> TemporaryToken<U> {
        TemporaryToken { value: convert(self.value), expiry: self.expiry, refresh_at: self.refresh_at }
    }

    /// Returns the token, its expiry and the issuer's refresh time, for a fetch that started at `start`.
    pub(crate) fn into_deadlines(self, start: TimePoint) -> (T, Deadline, Option<Deadline>) {
        let expires = match self.expiry {
            Expiry::At(wall) => Deadline::at_wall(wall, start),
            Expiry::In(lifetime) => Deadline::after(start, lifetime),
            Expiry::Never => Deadline::NEVER,
        };
        (self.value, expires, self.refresh_at.map(|wall| Deadline::at_wall(wall, start)))
    }
}

impl<T> fmt::Debug for TemporaryToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TemporaryToken");
        debug.field("expiry", &self.expiry).field("refresh_at", &self.refresh_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p22_debug_shows_times_and_no_token() {
        let token = TemporaryToken::expires_in("hunter2", Duration::from_secs(60));
        let text = format!("{token:?} {token:#?}");
        assert!(text.contains("60s") && !text.contains("hunter2"), "{text}");
    }
}
