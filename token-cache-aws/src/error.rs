//! Why there are no credentials, in words a user can act on.

#[cfg(feature = "chain")]
mod chain;
mod mask;
mod words;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use token_cache_core::Error;

/// An `SdkConfig` that cannot give credentials.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this SdkConfig has no credentials provider; load it with one, as token_cache_aws::defaults() does")]
#[non_exhaustive]
pub struct ConfigError;

/// Why the SDK had no credentials, on one line: every provider of the chain that was tried, and what each had to say.
///
/// What others have said is in it, as a `credential_process` tells there what to do; but shortened, and with `***` for all
/// that looks like a secret. It is the [`source`](StdError::source) of the cache's error.
pub struct FetchError {
    error: CredentialsError,
    is_of_a_role: bool,
    /// Made once, as what it is made of may be long, and all who wait for one fetch print it.
    text: Box<str>,
}

impl FetchError {
    pub(crate) fn new(error: CredentialsError, role: Option<Arc<str>>) -> Self {
        let text = match &role {
            Some(role) => format!("the role {role} could not be assumed: {}", words::why(&error)),
            None => words::told(&error),
        };
        Self { error, is_of_a_role: role.is_some(), text: text.into() }
    }

    /// The SDK's own error. Its `Debug` may show what an issuer has answered, and its `Display` what a process has printed:
    /// do not print it.
    #[must_use]
    pub const fn credentials_error(&self) -> &CredentialsError {
        &self.error
    }

    /// Whether there is nothing wrong but that no credentials are configured anywhere.
    #[must_use]
    pub fn is_no_credentials(&self) -> bool {
        !self.is_of_a_role && matches!(self.error, CredentialsError::CredentialsNotLoaded(_))
    }
}

/// Whether a cache of AWS credentials has none because none are configured anywhere: all links of the chain were asked, and
/// each says so. Where one is configured and fails, this is `false`.
#[must_use]
pub fn is_no_credentials(error: &Error) -> bool {
    error.source().and_then(|source| source.downcast_ref()).is_some_and(FetchError::is_no_credentials)
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// The SDK's error is part of the text: as a source it would be told twice.
impl StdError for FetchError {}
