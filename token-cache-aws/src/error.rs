//! Why there are no credentials, in words a user can act on.

use std::error::Error as StdError;
use std::fmt;

use aws_config::imds::client::error::ImdsError;
use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;

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
        let source = self.error.source();
        let chain = source.and_then(|source| source.downcast_ref::<ProviderChainError<CredentialsError>>());
        if let Some(chain) = chain {
            f.write_str("no AWS credentials were found; tried")?;
            for (n, attempt) in chain.attempts().iter().enumerate() {
                // "Not enabled" is what they all say first: what counts is why.
                let why = attempt.error().source().map_or_else(|| "not set".to_owned(), one_line);
                write!(f, "{} {} ({why})", if n == 0 { "" } else { "," }, attempt.name())?;
            }
            write!(f, "; {WHAT_TO_DO}")
        } else if source.is_some_and(|source| source.is::<ImdsError>()) {
            f.write_str("the instance metadata service, which is asked when nothing else is configured, has failed: ")?;
            write!(f, "{}; {WHAT_TO_DO}", one_line(&self.error))
        } else {
            write!(f, "AWS credentials could not be loaded: {}", one_line(&self.error))
        }
    }
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

const WHAT_TO_DO: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run where a role is attached";
