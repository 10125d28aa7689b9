//! [`Error`]: why there is no token.

use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use crate::source::{BoxError, Permanent};

/// The reason why a cache could not return a token.
///
/// Cloning is cheap: all callers who waited for one fetch share its error. [`kind`](Self::kind) says what to do about it,
/// [`source`](StdError::source) is the error of the token source, and [`retry_after`](Self::retry_after) is the time until the
/// cache fetches again.
///
/// `Display` is one sentence and includes the message of the source's error, because many libraries print only the outermost
/// error. `Debug` adds the rest of the error chain. Neither uses the `Debug` of the source's error, which might contain a token.
#[derive(Clone)]
pub struct Error {
    cause: Arc<Cause>,
    retry_after: Option<Duration>,
}

/// The kind of an [`Error`], by what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The source returned a token that had already expired. Check the issuer, and the clock of this machine.
    AlreadyExpired,
    /// A fetch was due outside a tokio runtime, or in one that is shutting down. Call from a running runtime.
    NoRuntime,
    /// The source panicked. Fix the source.
    Panicked,
    /// The source failed, and retrying cannot help. Fix the configuration.
    Permanent,
    /// The source returned the rejected token again. The cache retries by itself.
    Rejected,
    /// The source failed. The cache retries by itself.
    Source,
    /// The source did not answer within the `fetch_timeout`. The cache retries by itself.
    TimedOut,
    /// The source's tokens are not valid for as long as [`get_valid_for`](crate::TokenCache::get_valid_for) requires. Require
    /// less, or configure the issuer.
    TooShort,
}

impl Error {
    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &*self.cause {
            Cause::AlreadyExpired => ErrorKind::AlreadyExpired,
            Cause::NoRuntime => ErrorKind::NoRuntime,
            Cause::Panicked => ErrorKind::Panicked,
            Cause::Permanent(_) => ErrorKind::Permanent,
            Cause::Rejected => ErrorKind::Rejected,
            Cause::Source(_) => ErrorKind::Source,
            Cause::TimedOut(_) => ErrorKind::TimedOut,
            Cause::TooShort { .. } => ErrorKind::TooShort,
        }
    }

    /// Returns the time from now until the cache can fetch again. `None` if that does not depend on time.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// An error of the source, which is permanent if any error in its chain is marked so.
    pub(crate) fn from_source(mut error: BoxError) -> Self {
        let permanent = chain(&*error).any(|error| error.is::<Permanent>());
        // A marker at the top would hide the type of the error from callers.
        let error = loop {
            match error.downcast::<Permanent>() {
                Ok(marker) => error = marker.0,
                Err(error) => break error,
            }
        };
        if permanent { Cause::Permanent(error).into() } else { Cause::Source(error).into() }
    }

    pub(crate) fn with_retry_after(&self, retry_after: Duration) -> Self {
        Self { cause: Arc::clone(&self.cause), retry_after: Some(retry_after) }
    }
}

/// An error and the errors that caused it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        if let Some(wait) = self.retry_after {
            write!(f, " (next attempt in {wait:.1?})")?;
        }
        self.source().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        chain(self).skip(2).try_for_each(|error| write!(f, ": {error}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

#[derive(thiserror::Error)]
pub(crate) enum Cause {
    #[error("the token source returned a token that had already expired")]
    AlreadyExpired,
    #[error("a token must be fetched, but there is no running tokio runtime on this thread")]
    NoRuntime,
    #[error("the token source panicked")]
    Panicked,
    #[error("the token source failed permanently")]
    Permanent(#[source] BoxError),
    #[error("the token source returned the rejected token again")]
    Rejected,
    #[error("the token source failed")]
    Source(#[source] BoxError),
    #[error("the token source did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("a token valid for {required:?} is required, but the source's token is valid for {available:.1?}")]
    TooShort { required: Duration, available: Duration },
}

// Required by thiserror. A derived `Debug` would print that of the source's error.
impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self { cause: Arc::new(cause), retry_after: None }
    }
}
