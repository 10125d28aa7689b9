//! [`Objects`]: records in an object store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use token_cache_core::BoxError;

use crate::store::{Store, Version};

/// Records in an object store with conditional puts: Amazon S3 and most stores that speak its protocol, Google Cloud Storage,
/// Azure Blob Storage.
///
/// The store must not take its credentials from the cache that it serves. Records are not deleted: a lifecycle rule on the prefix
/// can do that.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Objects {
    /// Keeps the records below `prefix`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use token_cache_fleet::Objects;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Objects::new(Arc::new(object_store::memory::InMemory::new()), "tokens");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(store: Arc<dyn ObjectStore>, prefix: impl Into<Path>) -> Self {
        Self { store, prefix: prefix.into() }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }
}

#[async_trait]
impl Store for Objects {
    async fn load(&self, name: &str) -> Result<Option<(Version, Vec<u8>)>, BoxError> {
        let found = match self.store.get(&self.path(name)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let version = version(found.meta.e_tag.as_deref(), found.meta.version.as_deref());
        Ok(Some((version, found.bytes().await?.to_vec())))
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&Version>,
        record: Vec<u8>,
        _: Duration,
    ) -> Result<Option<Version>, BoxError> {
        let mode = expected.map_or(PutMode::Create, |version| PutMode::Update(update_version(version)));
        match self.store.put_opts(&self.path(name), record.into(), mode.into()).await {
            Ok(stored) => Ok(Some(version(stored.e_tag.as_deref(), stored.version.as_deref()))),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The ETag and the version of an object in one. Neither has a newline.
fn version(e_tag: Option<&str>, version: Option<&str>) -> Version {
    Version::new(format!("{}\n{}", e_tag.unwrap_or_default(), version.unwrap_or_default()))
}

fn update_version(version: &Version) -> UpdateVersion {
    let text = String::from_utf8_lossy(version.as_bytes());
    let (e_tag, version) = text.split_once('\n').unwrap_or_default();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    UpdateVersion { e_tag: some(e_tag), version: some(version) }
}
