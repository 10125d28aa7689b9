//! Google: the metadata server, and whatever google-cloud-auth finds.
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
//! A service account's key, or a workload identity from elsewhere, is read by google-cloud-auth. That crate keeps each token
//! in a cache of its own, which a task of its own refreshes with four minutes left, and does not tell when it expires. So
//! there it is Google's crate that refreshes, and this cache looks in now and then, which costs no request:
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
//! On a machine of Google's the first is the better one: the token's expiry is known, a rejected token is replaced, nothing
//! runs while nobody reads, and a failure is never final, as one that google-cloud-auth takes for permanent is.

use std::time::Duration;

use google_cloud_auth::credentials::AccessTokenCredentials;
use object_store::gcp::GcpCredential;
use serde::Deserialize;
use token_cache_core::{TemporaryToken, TokenSource, permanent, source_fn};

/// How long before its end a token is refreshed. The metadata server gives the same one until four or five minutes before
/// that; asked any earlier, it would have to be asked again.
pub const BUFFER: Duration = Duration::from_secs(225);

/// The tokens of the machine's own service account, from the metadata server at `endpoint`.
///
/// # Errors
///
/// If there can be no HTTP client.
pub fn metadata(endpoint: &str) -> Result<impl TokenSource<Token = GcpCredential> + use<>, reqwest::Error> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{endpoint}/computeMetadata/v1/instance/service-accounts/default/token");
    Ok(source_fn(move || {
        let request = http.get(&url).header("Metadata-Flavor", "Google");
        async move {
            let answer: Answer = request.send().await?.error_for_status()?.json().await?;
            let token = GcpCredential { bearer: answer.access_token };
            Ok::<_, reqwest::Error>(TemporaryToken::expires_in(token, Duration::from_secs(answer.expires_in)))
        }
    }))
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

/// What google-cloud-auth has at hand, looked at again after `look` at the latest: less than the four minutes for which it
/// keeps a token past the time of its refresh.
#[must_use]
pub fn credentials(credentials: AccessTokenCredentials, look: Duration) -> impl TokenSource<Token = GcpCredential> {
    source_fn(move || {
        let credentials = credentials.clone();
        async move {
            match credentials.access_token().await {
                Ok(token) => Ok(TemporaryToken::expires_in(GcpCredential { bearer: token.token }, look)),
                Err(error) if error.is_transient() => Err(error.into()),
                Err(error) => Err(permanent(error)),
            }
        }
    })
}
