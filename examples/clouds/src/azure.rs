//! Azure, by whatever azure_identity finds.
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

/// How long before its end a token is refreshed. azure_identity gives the same one until five minutes before that.
pub const BUFFER: Duration = Duration::from_secs(240);

/// Tokens for Azure's storage.
pub fn source(credential: Arc<dyn TokenCredential>) -> impl TokenSource<Token = AzureCredential> {
    source_fn(move || {
        let credential = Arc::clone(&credential);
        async move {
            let answer = credential.get_token(&[SCOPE], None).await.map_err(failed)?;
            let token = AzureCredential::BearerToken(answer.token.secret().to_owned());
            Ok::<_, BoxError>(TemporaryToken::new(token, answer.expires_on.into()))
        }
    })
}

/// Entra ID answers 400 or 401 to what is for somebody to mend: a secret that has expired, a tenant that is not there.
fn failed(error: azure_core::Error) -> BoxError {
    let causes = iter::successors(Some(&error as &(dyn StdError + 'static)), |&error| error.source());
    let mut answers = causes.filter_map(|error| error.downcast_ref::<azure_core::Error>()?.http_status());
    if answers.any(|status| matches!(status, StatusCode::BadRequest | StatusCode::Unauthorized)) {
        permanent(error)
    } else {
        error.into()
    }
}

const SCOPE: &str = "https://storage.azure.com/.default";
