//! [`Error`]: why there is no token.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::source::{BoxError, Permanent, RetryAfter, marked_chain, requested_delay};

/// The reason why a cache could not return a token.
///
/// Cloning is cheap: all callers who waited for one fetch share its error. [`kind`](Self::kind) says what to do about it,
/// [`source`](StdError::source) is the error of the token source, and [`retry_after`](Self::retry_after) is the time until the
/// cache fetches again. If the source is a cache itself, its kind and its [name](Self::cache_name) are kept.
///
/// `Display` is one sentence and includes the message of the source's error, because many libraries print only the outermost
/// error. `Debug` adds the rest of the error chain. Neither uses the `Debug` of the source's error, which might contain a token.
/// Control characters and invisible ones in messages of the source are escaped, so that they cannot forge a log line.
#[derive(Clone)]
// One pointer, so that the result of a hit fits into registers.
pub struct Error(Arc<Failure>);

#[derive(Clone)]
struct Failure {
    cause: Arc<Cause>,
    cache_name: Arc<str>,
    retry_after: Option<Duration>,
}

/// The kind of an [`Error`], by what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The source returned a token that had already expired. Check the issuer, and the clock of this machine.
    AlreadyExpired,
    /// A function that the builder got, `expiry_buffer_by` or `token_eq`, panicked. Fix that function.
    CallbackPanicked,
    /// A fetch was due outside a tokio runtime, or in one that is shutting down, blocked or not driven. Call from a running
    /// runtime, or configure one.
    NoRuntime,
    /// The source panicked. Fix the source.
    Panicked,
    /// The source failed, and retrying cannot help. Fix the configuration.
    Permanent,
    /// The caller's token was rejected, and there is no other one: the source returned it again, or tokens are rejected one
    /// after the other. The service that rejects them is the likely cause.
    Rejected,
    /// The source failed. The cache retries by itself.
    Source,
    /// The source did not answer within the `fetch_timeout`, or the limits of [`TokenCaches`](crate::TokenCaches) did not let
    /// the fetch start within it. The cache retries by itself.
    TimedOut,
    /// The source's tokens are not valid for as long as [`get_valid_for`](crate::TokenCache::get_valid_for) requires. Require
    /// less, or configure the issuer.
    TooShort,
    /// A blocking call would have blocked a thread that runs async tasks. Use the async method there.
    WouldBlock,
}

impl Error {
    pub(crate) fn new(cause: Cause, cache_name: &Arc<str>) -> Self {
        Self::with(cause, cache_name, None)
    }

    fn with(cause: Cause, cache_name: &Arc<str>, retry_after: Option<Duration>) -> Self {
        Self(Arc::new(Failure { cause: Arc::new(cause), cache_name: Arc::clone(cache_name), retry_after }))
    }

    /// Returns the kind of the failure.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{ErrorKind, TokenCache, permanent, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let cache = TokenCache::<()>::builder(source_fn(|| async { Err(permanent("no such role")) })).name("hub").build();
    /// let error = cache.get().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Permanent);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &*self.0.cause {
            Cause::AlreadyExpired { .. } => ErrorKind::AlreadyExpired,
            Cause::CallbackPanicked => ErrorKind::CallbackPanicked,
            Cause::NoRuntime | Cause::NotDriven(_) => ErrorKind::NoRuntime,
            Cause::Panicked => ErrorKind::Panicked,
            Cause::Permanent(_) => ErrorKind::Permanent,
            Cause::Rejected | Cause::RejectedTooOften => ErrorKind::Rejected,
            Cause::Source(_) => ErrorKind::Source,
            Cause::NoTurn(_) | Cause::TimedOut(_) => ErrorKind::TimedOut,
            Cause::TooShort { .. } => ErrorKind::TooShort,
            Cause::WouldBlock => ErrorKind::WouldBlock,
        }
    }

    /// Returns the time from now until the cache can fetch again. `None` if that does not depend on time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{ErrorKind, TokenCache, permanent, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let cache = TokenCache::<()>::builder(source_fn(|| async { Err(permanent("no such role")) })).name("hub").build();
    /// let error = cache.get().await.unwrap_err();
    /// assert!(error.retry_after() > Some(Duration::ZERO), "the time until the next attempt");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the [name](crate::TokenCacheBuilder::name) of the cache that failed. If caches are sources of others, that is
    /// the innermost one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{ErrorKind, TokenCache, permanent, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let cache = TokenCache::<()>::builder(source_fn(|| async { Err(permanent("no such role")) })).name("hub").build();
    /// let error = cache.get().await.unwrap_err();
    /// assert_eq!(error.cache_name(), "hub");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cache_name(&self) -> &str {
        &self.0.cache_name
    }

    /// An error of the source. Marks are found anywhere in its chain; errors of another cache count as marks.
    pub(crate) fn from_source(mut error: BoxError, cache_name: &Arc<str>) -> Self {
        let inner = || marked_chain(&*error).find_map(|error| error.downcast_ref::<Self>());
        let retry_after = requested_delay(&error).or_else(|| inner()?.retry_after());
        let retry_after = retry_after.map(|duration| duration.min(MAX_RETRY_AFTER));
        let permanent = marked_chain(&*error).any(|error| error.is::<Permanent>())
            || inner().is_some_and(|inner| inner.kind() == ErrorKind::Permanent);
        // A mark at the top would hide the type of the error from callers.
        let error = loop {
            error = match error.downcast::<Permanent>() {
                Ok(mark) => mark.0,
                Err(error) => match error.downcast::<RetryAfter>() {
                    Ok(mark) => mark.error,
                    Err(error) => break error,
                },
            }
        };
        match error.downcast::<Self>() {
            Ok(inner) if !permanent || inner.kind() == ErrorKind::Permanent => inner.with_retry_after(retry_after),
            Ok(inner) => Self::with(Cause::Permanent(inner), cache_name, retry_after),
            Err(error) if permanent => Self::with(Cause::Permanent(error), cache_name, retry_after),
            Err(error) => Self::with(Cause::Source(error), cache_name, retry_after),
        }
    }

    pub(crate) fn with_retry_after(&self, retry_after: impl Into<Option<Duration>>) -> Self {
        let retry_after = retry_after.into();
        Self(Arc::new(Failure { retry_after, ..Failure::clone(&self.0) }))
    }
}

/// An error and the errors that caused it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { cause, cache_name, retry_after } = &*self.0;
        if **cache_name != *DEFAULT_NAME {
            write!(Escaped(f), "{cache_name}: ")?;
        }
        cause.fmt(f)?;
        if let Some(wait) = retry_after {
            write!(f, " (next attempt in {wait:.1?})")?;
        }
        self.source().map_or(Ok(()), |source| write!(Escaped(f), ": {source}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        chain(self).skip(2).try_for_each(|error| write!(Escaped(f), ": {error}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.source()
    }
}

#[derive(thiserror::Error)]
pub(crate) enum Cause {
    #[error(
        "the token source returned a token that had already expired, {ago:.1?} before: at {}, by the clock of this machine at \
         {}: check that clock and the issuer", Time(*.expired_at), Time(Some(*.now))
    )]
    AlreadyExpired { ago: Duration, expired_at: Option<SystemTime>, now: SystemTime },
    #[error("a function that was given to the builder of the cache panicked")]
    CallbackPanicked,
    #[error(
        "a token must be fetched, but there is no running tokio runtime on this thread: call from one, or pass its handle to \
         TokenCacheBuilder::runtime"
    )]
    NoRuntime,
    #[error(
        "the fetch of a token did not start within {0:?}: its runtime is blocked, not driven, or of another process"
    )]
    NotDriven(Duration),
    #[error("the fetch of a token did not get its turn within {0:?}: too many keys for the limits of their fetches")]
    NoTurn(Duration),
    #[error("the token source panicked")]
    Panicked,
    #[error("the token source failed permanently")]
    Permanent(#[source] BoxError),
    #[error("the token source returned the rejected token again")]
    Rejected,
    #[error("the token was rejected shortly after another one, so it is not replaced yet")]
    RejectedTooOften,
    #[error("the token source failed")]
    Source(#[source] BoxError),
    #[error("the token source did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("a token valid for {required:?} is required, but the source's token is valid for {available:.1?}")]
    TooShort { required: Duration, available: Duration },
    #[error("a token must be fetched, but waiting for it would block a thread that runs async tasks")]
    WouldBlock,
}

// Required by thiserror. A derived `Debug` would print that of the source's error.
impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A wall time, if it is known.
struct Time(Option<SystemTime>);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = self.0.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        match since_epoch.filter(|since_epoch| since_epoch.as_secs() < YEAR_10000) {
            Some(since_epoch) => humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since_epoch).fmt(f),
            None => f.write_str("an unknown time"),
        }
    }
}

/// Where RFC 3339 ends, in seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

/// Escapes control characters, and those that are invisible or change the direction of the text.
struct Escaped<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}' => write!(self.0, "{}", c.escape_unicode()),
            c if c.is_control() => write!(self.0, "{}", c.escape_default()),
            c => self.0.write_char(c),
        })
    }
}

/// The name of a cache that was given none. It says nothing, so errors do not show it.
pub(crate) const DEFAULT_NAME: &str = "token";

/// An issuer that asks for more is not believed: the cache would be disabled.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
