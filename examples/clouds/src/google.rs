//! Google Cloud Storage, with tokens of the metadata server or of google-cloud-auth.
//!
//! # Metadata server
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use object_store::gcp::GoogleCloudStorageBuilder;
//! use token_cache_clouds::google;
//! use token_cache_core::TokenCache;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metadata = google::metadata("http://metadata.google.internal")?;
//! let cache = TokenCache::builder(metadata).expiry_buffer(google::BUFFER).build();
//! let store = GoogleCloudStorageBuilder::new().with_bucket_name("bucket").with_credentials(Arc::new(cache)).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # google-cloud-auth
//!
//! google-cloud-auth reads service account keys and supports workload identity federation. It keeps each token in its own
//! cache, refreshes it in a background task 4 minutes before the expiry, and does not expose the expiry. The cache therefore
//! polls it at a fixed interval, which makes no request:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use object_store::gcp::GoogleCloudStorageBuilder;
//! # use token_cache_clouds::google;
//! # use token_cache_core::TokenCache;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = google_cloud_auth::credentials::Builder::default().build_access_token_credentials()?;
//! let cache = TokenCache::builder(google::credentials(credentials, Duration::from_secs(60))).build();
//! # Ok(())
//! # }
//! ```
//!
//! On Google Cloud, prefer the metadata server: the token's expiry is known, a rejected token is replaced, nothing runs
//! without reads, and the cache recovers from every error. google-cloud-auth stops refreshing after an error that it considers
//! permanent (<https://github.com/googleapis/google-cloud-rust/issues/4541>).

use std::time::Duration;

use google_cloud_auth::credentials::AccessTokenCredentials;
use object_store::gcp::GcpCredential;
use serde::Deserialize;
use token_cache_core::{TemporaryToken, TokenSource, permanent, source_fn};

/// The `expiry_buffer` to use with [`metadata`]: 3 min 45 s.
///
/// The metadata server returns the same token until 4 to 5 minutes before it expires, so an earlier refresh would get the same
/// token again.
pub const BUFFER: Duration = Duration::from_secs(225);

/// Creates a source of tokens for the default service account, from the metadata server at `endpoint`.
///
/// # Errors
///
/// If the HTTP client cannot be created.
pub fn metadata(endpoint: &str) -> Result<impl TokenSource<Token = GcpCredential> + use<>, reqwest::Error> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{endpoint}/computeMetadata/v1/instance/service-accounts/default/token");
    Ok(source_fn(move || {
        let request = http.get(&url).header("Metadata-Flavor", "Google");
        async move {
            let response: TokenResponse = request.send().await?.error_for_status()?.json().await?;
            let token = GcpCredential { bearer: response.access_token };
            Ok::<_, reqwest::Error>(TemporaryToken::expires_in(token, Duration::from_secs(response.expires_in)))
        }
    }))
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: u64,
}

/// Creates a source that takes tokens from google-cloud-auth. Each is used for `interval`, then google-cloud-auth is polled
/// again. An error is permanent unless google-cloud-auth considers it transient.
///
/// `interval` must be below 4 minutes. google-cloud-auth replaces a token 4 minutes before it expires, and a longer interval
/// could outlive the token.
#[must_use]
pub fn credentials(credentials: AccessTokenCredentials, interval: Duration) -> impl TokenSource<Token = GcpCredential> {
    source_fn(move || {
        let credentials = credentials.clone();
        async move {
            match credentials.access_token().await {
                Ok(token) => Ok(TemporaryToken::expires_in(GcpCredential { bearer: token.token }, interval)),
                Err(error) if error.is_transient() => Err(error.into()),
                Err(error) => Err(permanent(error)),
            }
        }
    })
}
