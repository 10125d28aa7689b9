//! Arroyo: `crates/arroyo-storage/src/aws.rs`, on object_store 0.12.
//!
//! The file is deleted, and `crate::aws::ArroyoCredentialProvider` becomes the name below. `try_new().await?`,
//! `default_region().await`, `Clone` and `with_credentials(Arc::new(..))` stay as they are written. For the `?`, the error of
//! Arroyo's storage takes in one more.
//!
//! The old one refreshed in the background, five minutes ahead, as this one does. But:
//!
//! - The task that refreshes panicked when the issuer failed. It said so on standard error and nowhere else.
//! - Nothing counted failures, so with the issuer down for the last five minutes the first request after each failed refresh
//!   began another.
//! - Past the expiry each request fetched for itself. A hundred requests were a hundred calls.
//! - A token that was fetched then could be lost, because it was stored only if the lock happened to be free.

use token_cache_core::Error;

use crate::theirs::StorageError;

pub use token_cache_aws::AwsTokenCache as ArroyoCredentialProvider;

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        Self::CredentialsError(error.to_string())
    }
}
