//! Arroyo: `crates/arroyo-storage/src/aws.rs`, on object_store 0.12.
//!
//! Delete the file and import the name below as `crate::aws::ArroyoCredentialProvider`. The calls `try_new().await?`,
//! `default_region().await`, `Clone` and `with_credentials(Arc::new(..))` do not change. The `From` impl below is for the `?`.
//!
//! The original also refreshes in the background, 5 minutes before the expiry. Its problems:
//!
//! - The refresh task panics if the issuer fails. The panic message on standard error is the only sign.
//! - There is no backoff. While the issuer is down in the last 5 minutes, the first request after each failed refresh starts
//!   another.
//! - After the expiry every request makes its own call: 100 requests make 100 calls.
//! - The result of such a call is stored only if the lock is free at that moment, and may be lost.
//!
//! A lock held across the fetch deadlocked in an earlier version: <https://github.com/ArroyoSystems/arroyo/pull/840>.

use token_cache_core::Error;

use crate::upstream::StorageError;

pub use token_cache_aws::AwsTokenCache as ArroyoCredentialProvider;

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        Self::CredentialsError(error.to_string())
    }
}
