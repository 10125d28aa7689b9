//! [`FetchError`]: why the SDK returned no credentials.

mod describe;
mod error_chain;
#[cfg(feature = "chain")]
mod profile_file;
#[cfg(feature = "chain")]
mod provider;
mod redact;
#[cfg(feature = "chain")]
mod sdk_messages;
#[cfg(feature = "chain")]
mod service;

use std::error::Error as StdError;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
#[cfg(feature = "chain")]
use token_cache_core::BoxError;
use token_cache_core::Error;

use self::describe::describe;
use self::error_chain::{error_chain, unredacted};
#[cfg(feature = "chain")]
pub(crate) use self::provider::is_sso_cache_write;
use self::redact::plain_line;
pub(crate) use self::redact::redact;
#[cfg(feature = "chain")]
use crate::http_client::Exchange;

/// An `SdkConfig` has no credentials provider.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this SdkConfig has no credentials provider; load it with one, as token_cache_aws::defaults() does")]
#[non_exhaustive]
pub struct ConfigError;

/// Nothing is configured that could have credentials. The source says why the last provider is not.
#[cfg(feature = "chain")]
#[derive(Debug, thiserror::Error)]
#[error("no AWS credentials were found")]
pub(crate) struct NoCredentials(#[source] pub(crate) BoxError);

/// Why the SDK returned no credentials, on one line: which provider failed and why, or which providers were tried.
///
/// It is the [`source`](StdError::source) of the cache's error. It includes messages of issuers and of a
/// `credential_process`, because they often say what to do. These are shortened, and `***` replaces whatever is not
/// known to be harmless. [`expose_unredacted`](Self::expose_unredacted) returns all of it.
pub struct FetchError {
    error: CredentialsError,
    is_role: bool,
    /// Formatted once: the source may be long, and every caller that waited for the fetch may print it.
    message: Box<str>,
}

/// What the SDK was asked for.
pub(crate) enum Origin {
    /// Any provider.
    Provider,
    /// The ARN of a role.
    Role(Arc<str>),
    /// The default chain, or a profile.
    #[cfg(feature = "chain")]
    Chain(ChainHints),
}

/// What an error of the chain should say besides the SDK's.
#[cfg(feature = "chain")]
#[derive(Default)]
pub(crate) struct ChainHints {
    /// The name of the selected profile, unless it is the default one.
    pub(crate) profile: Option<String>,
    /// The profile with an MFA device, on its chain of roles.
    pub(crate) with_mfa: Option<String>,
    pub(crate) exchange: Exchange,
}

impl FetchError {
    pub(crate) fn new(error: CredentialsError, origin: &Origin) -> Self {
        let message = match origin {
            Origin::Provider => describe(&error),
            Origin::Role(role) => {
                format!("the role {} could not be assumed: {}", plain_line(role), error_chain(&error))
            }
            #[cfg(feature = "chain")]
            Origin::Chain(hints) => provider::describe(&error, hints),
        };
        let message = format!("{message}{}", tls_hint(&message, std::env::var_os("AWS_CA_BUNDLE")));
        Self { error, is_role: matches!(origin, Origin::Role(_)), message: message.into() }
    }

    /// The SDK's error. Do not print it: its `Debug` may contain the response of an issuer, and its `Display` the
    /// output of a process.
    ///
    /// ```
    /// # use std::error::Error;
    /// # use token_cache_aws::FetchError;
    /// # use token_cache_testing::aws::Fault;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// # let role = token_cache_aws::AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// # let aws = aws.assume_role(&role).await;
    /// kit.issuer().fail(Fault::Status(403));
    /// let error = aws.get().await.unwrap_err();
    /// let reason: &FetchError = error.source().unwrap().downcast_ref().unwrap();
    /// println!("{}", reason.credentials_error());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn credentials_error(&self) -> &CredentialsError {
        &self.error
    }

    /// The whole text of the SDK's error and its sources, with what an issuer or a `credential_process` has said. It may
    /// contain secrets and control characters: show it to the person who runs the program, and do not log it.
    ///
    /// ```
    /// # use std::error::Error;
    /// # use token_cache_aws::FetchError;
    /// # use token_cache_testing::aws::Fault;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// # let role = token_cache_aws::AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// # let aws = aws.assume_role(&role).await;
    /// kit.issuer().fail(Fault::Status(403));
    /// let error = aws.get().await.unwrap_err();
    /// let reason: &FetchError = error.source().unwrap().downcast_ref().unwrap();
    /// eprintln!("{}", reason.expose_unredacted()); // for the person at the terminal
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose_unredacted(&self) -> String {
        unredacted(&self.error)
    }

    /// Whether the only cause is that no credentials are configured.
    ///
    /// ```
    /// # use std::error::Error;
    /// # use token_cache_aws::FetchError;
    /// # use token_cache_testing::aws::Fault;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// # let role = token_cache_aws::AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// # let aws = aws.assume_role(&role).await;
    /// kit.issuer().fail(Fault::Status(403));
    /// let error = aws.get().await.unwrap_err();
    /// let reason: &FetchError = error.source().unwrap().downcast_ref().unwrap();
    /// assert!(!reason.is_no_credentials(), "they are configured");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_no_credentials(&self) -> bool {
        !self.is_role && matches!(self.error, CredentialsError::CredentialsNotLoaded(_))
    }
}

/// Whether a cache has no AWS credentials only because none are configured: every provider of the chain was tried and
/// reports so. `false` if a provider is configured and fails.
///
/// ```
/// # use token_cache_aws::is_no_credentials;
/// # use token_cache_testing::aws::Fault;
/// # use token_cache_aws::AwsTokenCache;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
/// # kit.s3().create_bucket("bucket")?;
/// # let config = kit.sdk_config();
/// # let aws = AwsTokenCache::from_sdk_config(&config)?;
/// # let role = token_cache_aws::AssumeRole::new("arn:aws:iam::222222222222:role/reader");
/// # let aws = aws.assume_role(&role).await;
/// kit.issuer().fail(Fault::Status(403));
/// let error = aws.get().await.unwrap_err();
/// assert!(!is_no_credentials(&error), "they are configured");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn is_no_credentials(error: &Error) -> bool {
    error.source().and_then(|source| source.downcast_ref()).is_some_and(FetchError::is_no_credentials)
}

/// What to do about a certificate that is not trusted. Other SDKs read this variable.
/// <https://github.com/awslabs/aws-sdk-rust/issues/1362>
fn tls_hint(message: &str, ca_bundle: Option<OsString>) -> &'static str {
    let is_untrusted = message.contains("invalid peer certificate");
    if is_untrusted && ca_bundle.is_some_and(|path| !path.is_empty()) {
        "; AWS_CA_BUNDLE is not read here: set SSL_CERT_FILE to the same file"
    } else {
        ""
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// Without a source: the message already contains the SDK's error.
impl StdError for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_bundle_that_is_not_read_is_named_if_a_certificate_is_not_trusted() {
        let untrusted = "dispatch failure: io error: invalid peer certificate: UnknownIssuer";
        assert!(tls_hint(untrusted, Some("/etc/corp.pem".into())).contains("set SSL_CERT_FILE"));
        assert_eq!(tls_hint(untrusted, Some("".into())), "");
        assert_eq!(tls_hint(untrusted, None), "");
        assert_eq!(tls_hint("Connection refused", Some("/etc/corp.pem".into())), "");
    }

    #[test]
    fn texts_from_outside_forge_no_line() {
        let error = CredentialsError::provider_error("no\n2026-11-25 INFO forged \u{1b}]0;title\u{7} \u{202e}desrever");
        let error = FetchError::new(error, &Origin::Role("arn:aws:iam::1:role/a\nforged\u{e0041}".into()));
        let shown = error.to_string();
        assert!(!shown.contains(|c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{e0041}')), "{shown:?}");
        assert!(error.expose_unredacted().contains("desrever"));
    }
}
