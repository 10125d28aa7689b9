//! Why there are no credentials, in words a user can act on.

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
/// It is the [`source`](StdError::source) of the cache's error.
pub struct FetchError {
    error: CredentialsError,
    role: Option<Arc<str>>,
}

impl FetchError {
    pub(crate) const fn new(error: CredentialsError, role: Option<Arc<str>>) -> Self {
        Self { error, role }
    }

    /// The SDK's own error. Its `Debug` may show what an issuer has answered: do not print it.
    #[must_use]
    pub const fn credentials_error(&self) -> &CredentialsError {
        &self.error
    }

    /// Whether there is nothing wrong but that no credentials are configured anywhere.
    #[must_use]
    pub fn is_no_credentials(&self) -> bool {
        self.role.is_none() && matches!(self.error, CredentialsError::CredentialsNotLoaded(_))
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
        if let Some(role) = &self.role {
            return write!(f, "the role {role} could not be assumed: {}", one_line(&self.error));
        }
        #[cfg(feature = "chain")]
        if let Some(told) = of_the_chain(&self.error, f) {
            return told;
        }
        write!(f, "AWS credentials could not be loaded: {}", one_line(&self.error))
    }
}

#[cfg(feature = "chain")]
fn of_the_chain(error: &CredentialsError, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
    use aws_config::imds::client::error::ImdsError;
    use aws_config::meta::ProviderChainError;

    let source = error.source()?;
    if let Some(chain) = source.downcast_ref::<ProviderChainError<CredentialsError>>() {
        let attempts = chain.attempts().iter().map(|attempt| {
            // "Not enabled" is what they all say first: what counts is why.
            let why = attempt.error().source().map_or_else(|| "not set".to_owned(), one_line);
            format!("{} ({why})", attempt.name())
        });
        let attempts = attempts.collect::<Vec<_>>().join(", ");
        return Some(write!(f, "no AWS credentials were found; tried {attempts}; {WHAT_TO_DO}"));
    }
    source.is::<ImdsError>().then(|| {
        f.write_str("the instance metadata service, which is asked when nothing else is configured, has failed: ")?;
        write!(f, "{}; {WHAT_TO_DO}", one_line(error))
    })
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// The SDK's error is part of the text: as a source it would be told twice.
impl StdError for FetchError {}

/// An error and its sources on one line. Of each only the `Display`: the `Debug` of the SDK's shows whole responses.
fn one_line(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "chain")]
const WHAT_TO_DO: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run where a role is attached";
