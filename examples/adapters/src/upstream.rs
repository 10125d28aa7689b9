//! What the projects have anyway, as far as the adapters touch it. It counts for neither side.

#![allow(clippy::exhaustive_enums, clippy::exhaustive_structs, reason = "as the projects have them")]

use std::collections::HashMap;
use std::fmt::Debug;

use async_trait::async_trait;
use token_cache_core::BoxError;

/// Arroyo's error of its storage, without the variants that have nothing to do with credentials.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No credentials.
    #[error("no credentials: {0}")]
    CredentialsError(String),
    /// A request that has failed.
    #[error("the object store has failed: {0}")]
    ObjectStore(#[from] object_store_0_12::Error),
}

/// Keys and values that come with a table. What Delta Lake and Lance call storage options.
pub type StorageOptions = HashMap<String, String>;

/// Lance's source of vended options: a namespace server, say.
#[async_trait]
pub trait StorageOptionsProvider: Debug + Send + Sync {
    /// The options as they are now, with `expires_at_millis` if they expire. `None` where nothing is vended.
    ///
    /// # Errors
    ///
    /// Whatever went wrong on the way to the server.
    async fn fetch_storage_options(&self) -> Result<Option<StorageOptions>, BoxError>;
}

/// Restate's options for an object store, as far as they choose the credentials.
#[derive(Clone, Debug, Default)]
pub struct ObjectStoreOptions {
    /// A profile of the AWS configuration files.
    pub aws_profile: Option<String>,
    /// The region, before any other.
    pub aws_region: Option<String>,
    /// A key that Restate itself gives to the builder, later.
    pub aws_access_key_id: Option<String>,
}
