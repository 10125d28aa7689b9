//! The types of the six projects that the adapters use. Neither column of the line counts includes them.

#![allow(clippy::exhaustive_enums, clippy::exhaustive_structs, reason = "defined by the projects")]

use std::collections::HashMap;
use std::fmt::Debug;

use async_trait::async_trait;
use token_cache_core::BoxError;

/// Arroyo's storage error, with only the variants that the adapter needs.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The credentials could not be fetched.
    #[error("no credentials: {0}")]
    CredentialsError(String),
    /// A request to the object store failed.
    #[error("object store error: {0}")]
    ObjectStore(#[from] object_store_0_12::Error),
}

/// The storage options of a Delta Lake or Lance table.
pub type StorageOptions = HashMap<String, String>;

/// Lance's source of vended storage options, such as a namespace server.
#[async_trait]
pub trait StorageOptionsProvider: Debug + Send + Sync {
    /// Fetches the current options. `None` if the server does not vend any. Options that expire contain `expires_at_millis`.
    ///
    /// # Errors
    ///
    /// If the request to the server fails.
    async fn fetch_storage_options(&self) -> Result<Option<StorageOptions>, BoxError>;
}

/// Restate's options for an object store, with only the fields that select the credentials.
#[derive(Clone, Debug, Default)]
pub struct ObjectStoreOptions {
    /// The name of a profile in the AWS configuration files.
    pub aws_profile: Option<String>,
    /// The region. It takes precedence over the profile and the environment.
    pub aws_region: Option<String>,
    /// An access key id. If it is set, Restate sets the keys on the builder itself.
    pub aws_access_key_id: Option<String>,
}
