//! Azure Blob Storage, with any credential of azure_identity.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use azure_identity::ManagedIdentityCredential;
//! use object_store::azure::MicrosoftAzureBuilder;
//! use token_cache_clouds::azure;
//! use token_cache_core::TokenCache;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let credential = ManagedIdentityCredential::new(None)?;
//! let cache = TokenCache::builder(azure::source(credential)).expiry_buffer(azure::BUFFER).build();
//! let store = MicrosoftAzureBuilder::new()
//!     .with_account("account")
//!     .with_container_name("container")
//!     .with_credentials(Arc::new(cache))
//!     .build()?;
//! # Ok(())
//! # }
//! ```

use std::error::Error as StdError;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::StatusCode;
use object_store::azure::AzureCredential;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent, source_fn};

/// The `expiry_buffer` to use with [`source`]: 4 minutes.
///
/// azure_identity caches each token until 5 minutes before it expires, so an earlier refresh would get the same token again.
pub const BUFFER: Duration = Duration::from_secs(240);

/// Creates a source of tokens for Azure Storage.
///
/// An error is permanent if Entra ID answers with status 400 or 401.
pub fn source(credential: Arc<dyn TokenCredential>) -> impl TokenSource<Token = AzureCredential> {
    source_fn(move || {
        let credential = Arc::clone(&credential);
        async move {
            let response = credential.get_token(&[SCOPE], None).await.map_err(classify)?;
            let token = AzureCredential::BearerToken(response.token.secret().to_owned());
            Ok::<_, BoxError>(TemporaryToken::new(token, response.expires_on.into()))
        }
    })
}

/// Entra ID answers with status 400 or 401 if the configuration is wrong: an expired secret, an unknown tenant.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>
fn classify(error: azure_core::Error) -> BoxError {
    let causes = iter::successors(Some(&error as &(dyn StdError + 'static)), |&error| error.source());
    let mut statuses = causes.filter_map(|error| error.downcast_ref::<azure_core::Error>()?.http_status());
    if statuses.any(|status| matches!(status, StatusCode::BadRequest | StatusCode::Unauthorized)) {
        permanent(error)
    } else {
        error.into()
    }
}

const SCOPE: &str = "https://storage.azure.com/.default";
