//! [`Error`]: why there is no token, for all who waited for it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::source::{BoxError, Permanent};

/// Why a token could not be handed out.
///
/// Cheap to clone: all who waited for one fetch share its one error. [`kind`](Self::kind) says what can be done,
/// [`source`](StdError::source) is the source's own error, [`retry_after`](Self::retry_after) tells when the cache will ask
/// again.
///
/// `Display` is one sentence that ends with what the source's error says, because many who pass errors on show one level of
/// them. `Debug` adds what lies below that one. Neither shows the `Debug` of the source's error, which might hold a token.
#[derive(Clone)]
pub struct Error {
    cause: Arc<Cause>,
    retry_after: Option<Duration>,
}

/// What kind of failure it was, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The source answered with a token that had already expired. Look at the issuer, and at this machine's clock.
    AlreadyExpired,
    /// A fetch was due outside of any tokio runtime, or on one that is shutting down. Call from within a live one.
    NoRuntime,
    /// The source panicked. A bug of the source.
    Panicked,
    /// The source failed and says that asking again will not help. Mend the configuration.
    Permanent,
    /// The source answered with the very token that had been rejected. The cache will ask again by itself.
    Rejected,
    /// The source failed. The cache will ask again by itself.
    Source,
    /// The source did not answer within the `fetch_timeout`. The cache will ask again by itself.
    TimedOut,
    /// The source's token does not live for as long as [`get_valid_for`](crate::TokenCache::get_valid_for) was asked for.
    /// Ask for less, or have the issuer give longer ones.
    TooShort,
}

impl Error {
    /// What kind of failure it was.
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

    /// How long from now until the cache asks its source again, if it is asked for a token by then. `None` where that
    /// does not depend on time.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn from_source(error: BoxError) -> Self {
        match error.downcast::<Permanent>() {
            Ok(permanent) => Cause::Permanent(permanent.0).into(),
            Err(error) => Cause::Source(error).into(),
        }
    }

    pub(crate) fn already_expired() -> Self {
        Cause::AlreadyExpired.into()
    }

    pub(crate) fn no_runtime() -> Self {
        Cause::NoRuntime.into()
    }

    pub(crate) fn panicked() -> Self {
        Cause::Panicked.into()
    }

    pub(crate) fn rejected() -> Self {
        Cause::Rejected.into()
    }

    pub(crate) fn timed_out(after: Duration) -> Self {
        Cause::TimedOut(after).into()
    }

    pub(crate) fn too_short(wanted: Duration, got: Duration) -> Self {
        Cause::TooShort { wanted, got }.into()
    }

    pub(crate) fn with_retry_after(&self, retry_after: Duration) -> Self {
        Self { cause: Arc::clone(&self.cause), retry_after: Some(retry_after) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        if let Some(span) = self.retry_after {
            write!(f, " (next attempt in {span:.1?} at the earliest)")?;
        }
        self.source().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source().and_then(StdError::source);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

#[derive(thiserror::Error)]
enum Cause {
    #[error("the token source answered with a token that had already expired")]
    AlreadyExpired,
    #[error("a token has to be fetched, but there is no running tokio runtime on this thread")]
    NoRuntime,
    #[error("the token source panicked")]
    Panicked,
    #[error("the token source failed, and says that asking again will not help")]
    Permanent(#[source] BoxError),
    #[error("the token source answered with the very token that had been rejected")]
    Rejected,
    #[error("the token source failed")]
    Source(#[source] BoxError),
    #[error("the token source did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("a token valid for {wanted:?} was asked for, but the source's is valid for {got:.1?}")]
    TooShort { wanted: Duration, got: Duration },
}

// thiserror asks for `Debug`; a source's own could print more than its `Display` does.
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
