//! [`FetchError`]: why an issuer returned no token.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use reqwest::StatusCode;
use token_cache_core::BoxError;

/// Why no token could be fetched.
///
/// Neither `Display` nor `Debug` shows text of the issuer, which may contain a secret. Of the issuer's answer they show the
/// status and the error code, if it is a registered one. [`expose_unredacted`](Self::expose_unredacted) returns the rest.
#[derive(thiserror::Error)]
#[error("{failure}")]
pub struct FetchError {
    #[source]
    source: Option<BoxError>,
    failure: Failure,
    unredacted: Option<String>,
}

#[derive(Debug)]
enum Failure {
    Refused { status: StatusCode, code: Option<&'static str> },
    Malformed { status: StatusCode, problem: &'static str },
    Request { timed_out: bool },
    AssertionFile,
    Hook,
}

impl FetchError {
    pub(crate) fn refused(status: StatusCode, code: Option<&'static str>, unredacted: Option<String>) -> Self {
        Self { source: None, failure: Failure::Refused { status, code }, unredacted }
    }

    pub(crate) const fn malformed(status: StatusCode, problem: &'static str) -> Self {
        Self { source: None, failure: Failure::Malformed { status, problem }, unredacted: None }
    }

    pub(crate) fn request(error: reqwest::Error) -> Self {
        // The URL may contain a password or a key.
        let error = error.without_url();
        Self {
            failure: Failure::Request { timed_out: error.is_timeout() },
            source: Some(error.into()),
            unredacted: None,
        }
    }

    pub(crate) fn assertion_file(error: io::Error) -> Self {
        Self { source: Some(error.into()), failure: Failure::AssertionFile, unredacted: None }
    }

    pub(crate) const fn hook(error: BoxError) -> Self {
        Self { source: Some(error), failure: Failure::Hook, unredacted: None }
    }

    /// The status of the issuer's answer, if there was one.
    ///
    /// ```no_run
    /// # use std::error::Error;
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_oauth2::{Client, ClientCredentials, FetchError, TokenRequest};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = TokenCache::builder(ClientCredentials::new(client, TokenRequest::default())).build();
    /// let error = cache.get().await.unwrap_err();
    /// let reason: Option<&FetchError> = error.source().and_then(|source| source.downcast_ref());
    /// let status = reason.and_then(FetchError::status); // 401, for example
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        match self.failure {
            Failure::Refused { status, .. } | Failure::Malformed { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The error code of the issuer's answer, if it is registered for OAuth 2.0, such as `invalid_client`.
    ///
    /// ```no_run
    /// # use std::error::Error;
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_oauth2::{Client, ClientCredentials, FetchError, TokenRequest};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = TokenCache::builder(ClientCredentials::new(client, TokenRequest::default())).build();
    /// let error = cache.get().await.unwrap_err();
    /// let reason: Option<&FetchError> = error.source().and_then(|source| source.downcast_ref());
    /// let code = reason.and_then(FetchError::code); // "invalid_client", for example
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn code(&self) -> Option<&str> {
        match self.failure {
            Failure::Refused { code, .. } => code,
            _ => None,
        }
    }

    /// The issuer's own error code and description. It may contain anything, so do not log it where secrets must not be.
    ///
    /// ```no_run
    /// # use std::error::Error;
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_oauth2::{Client, ClientCredentials, FetchError, TokenRequest};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = TokenCache::builder(ClientCredentials::new(client, TokenRequest::default())).build();
    /// let error = cache.get().await.unwrap_err();
    /// let reason: Option<&FetchError> = error.source().and_then(|source| source.downcast_ref());
    /// let text = reason.and_then(FetchError::expose_unredacted); // for the person at the terminal
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose_unredacted(&self) -> Option<&str> {
        self.unredacted.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, code: Some(code) } => write!(f, "the issuer refused with status {status}: {code}"),
            Self::Refused { status, code: None } => write!(f, "the issuer refused with status {status}"),
            Self::Malformed { status, problem } => write!(f, "the issuer answered with status {status}, but {problem}"),
            Self::Request { timed_out: true } => f.write_str("the request to the issuer timed out"),
            Self::Request { timed_out: false } => f.write_str("the request to the issuer failed"),
            Self::AssertionFile => f.write_str("cannot read the file of the client assertion"),
            Self::Hook => f.write_str("the hook could not store the rotated refresh token"),
        }
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchError({:?}", self.to_string())?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {:?}", error.to_string())?;
            cause = error.source();
        }
        f.write_str(")")
    }
}
