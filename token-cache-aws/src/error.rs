//! Why there are no credentials, in words a user can act on.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use token_cache_core::Error;

/// An [`SdkConfig`](aws_config::SdkConfig) that cannot give credentials.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this SdkConfig has no credentials provider; load it with one, as token_cache_aws::defaults() does")]
#[non_exhaustive]
pub struct ConfigError;

/// Why the SDK had no credentials, on one line: every provider of the chain that was tried, and what each had to say.
///
/// It is the [`source`](StdError::source) of the cache's error.
pub struct FetchError {
    error: CredentialsError,
}

impl FetchError {
    pub(crate) const fn new(error: CredentialsError) -> Self {
        Self { error }
    }

    /// The SDK's own error.
    #[must_use]
    pub const fn credentials_error(&self) -> &CredentialsError {
        &self.error
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let CredentialsError::CredentialsNotLoaded(_) = self.error {
            f.write_str(WHAT_TO_DO)?;
        }
        f.write_str(&one_line(&self.error))
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// The SDK's error is part of the text: as a source it would be told twice.
impl StdError for FetchError {}

/// What object_store is told. It shows one level of an error, so all of them are on that one.
#[cfg(any(feature = "object_store-0_13", feature = "object_store-0_14"))]
pub(crate) struct Unavailable(Error);

#[cfg(any(feature = "object_store-0_13", feature = "object_store-0_14"))]
impl Unavailable {
    pub(crate) const fn new(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no AWS credentials at hand: {}", one_line(&self.0))
    }
}

impl fmt::Debug for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Unavailable {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// An error and its sources on one line. Of each only the `Display`: the `Debug` of the SDK's shows whole responses.
fn one_line(error: &dyn StdError) -> String {
    let mut levels = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        levels.push(error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ").replace(":; ", ": "));
        next = error.source();
    }
    levels.join(": ")
}

const WHAT_TO_DO: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a profile with AWS_PROFILE, or run \
                          where a role is attached; what was tried: ";
