//! [`google_cloud_auth`]: tokens of google-cloud-auth.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::AccessTokenCredentials;
use google_cloud_auth::errors::CredentialsError;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent, source_fn};
use token_cache_oauth2::AccessToken;

/// Creates a source that takes tokens from google-cloud-auth, which refreshes them itself. The cache reads them once per minute,
/// which makes no request.
///
/// An error is permanent unless google-cloud-auth considers it transient. Its cause is a [`GoogleError`].
///
/// google-cloud-auth replaces a token 4 minutes before it expires and does not expose the expiry, so the cache uses each for one
/// minute. It reads the file of a Kubernetes service account again for each token.
///
/// ```
/// # use google_cloud_auth::credentials::AccessTokenCredentials;
/// # use token_cache_core::TokenCache;
/// # use token_cache_gcp::google_cloud_auth;
/// # async fn example(credentials: AccessTokenCredentials) -> Result<(), Box<dyn std::error::Error>> {
/// let cache = TokenCache::builder(google_cloud_auth(credentials)).build();
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn google_cloud_auth(credentials: AccessTokenCredentials) -> impl TokenSource<Token = AccessToken> {
    google_cloud_auth_every(INTERVAL, credentials)
}

/// Same as [`google_cloud_auth`](google_cloud_auth()), with another interval from 10 ms to 230 s. Values outside of that are
/// clamped: with 4 minutes or more it could outlive the token.
///
/// ```
/// # use google_cloud_auth::credentials::AccessTokenCredentials;
/// # use std::time::Duration;
/// # use token_cache_core::TokenCache;
/// # use token_cache_gcp::google_cloud_auth_every;
/// # async fn example(credentials: AccessTokenCredentials) -> Result<(), Box<dyn std::error::Error>> {
/// let cache = TokenCache::builder(google_cloud_auth_every(Duration::from_secs(10), credentials)).build();
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn google_cloud_auth_every(
    interval: Duration,
    credentials: AccessTokenCredentials,
) -> impl TokenSource<Token = AccessToken> {
    let interval = interval.clamp(SHORTEST, LONGEST);
    source_fn(move || {
        let credentials = credentials.clone();
        async move {
            match credentials.access_token().await {
                Ok(token) => Ok(TemporaryToken::expires_in(AccessToken::new(token.token), interval)),
                Err(error) if error.is_transient() => Err(BoxError::from(GoogleError(error))),
                Err(error) => Err(permanent(GoogleError(error))),
            }
        }
    })
}

/// An error of google-cloud-auth. Its own texts can contain the body of an answer or of a token file, so neither `Display` nor
/// `Debug` shows them.
#[derive(thiserror::Error)]
#[error("google-cloud-auth returned no token ({})", if self.0.is_transient() { "transient" } else { "permanent" })]
pub struct GoogleError(CredentialsError);

impl GoogleError {
    /// All texts of google-cloud-auth. They may contain secrets, so do not log them where secrets must not be.
    ///
    /// ```
    /// use token_cache_gcp::GoogleError;
    ///
    /// // The cause of an error of the cache.
    /// fn print(error: &(dyn std::error::Error + 'static)) {
    ///     if let Some(error) = error.downcast_ref::<GoogleError>() {
    ///         eprintln!("{}", error.expose_unredacted());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn expose_unredacted(&self) -> String {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }
}

impl fmt::Debug for GoogleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GoogleError(transient: {})", self.0.is_transient())
    }
}

const INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(230);
