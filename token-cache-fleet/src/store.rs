//! [`Store`]: where the processes of a fleet keep their shared records.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use token_cache_core::BoxError;

/// A place for small records that all processes of a fleet reach. It need not be reliable: a record that is lost or garbled
/// costs a fetch, nothing else.
///
/// Each call is given up after two seconds.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the record with this name and its version. `None`: there is none.
    ///
    /// # Errors
    ///
    /// The store did not respond, or refused.
    async fn load(&self, name: &str) -> Result<Option<(Version, Vec<u8>)>, BoxError>;

    /// Stores `record` if the current version is `expected` (`None`: there is no record), and returns its version. `None`: the
    /// version is another one, and the record is not stored. No two calls with the same `expected` may both succeed.
    ///
    /// The store may delete the record after `keep`, not before.
    ///
    /// # Errors
    ///
    /// The store did not respond, or refused. The record may have been stored nevertheless.
    async fn swap(
        &self,
        name: &str,
        expected: Option<&Version>,
        record: Vec<u8>,
        keep: Duration,
    ) -> Result<Option<Version>, BoxError>;
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn load(&self, name: &str) -> Result<Option<(Version, Vec<u8>)>, BoxError> {
        (**self).load(name).await
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&Version>,
        record: Vec<u8>,
        keep: Duration,
    ) -> Result<Option<Version>, BoxError> {
        (**self).swap(name, expected, record, keep).await
    }
}

/// The version of a record. Only the store that has made it knows its meaning.
#[derive(Clone, PartialEq, Eq)]
pub struct Version(Vec<u8>);

impl Version {
    /// Creates a version.
    ///
    /// ```
    /// # use token_cache_fleet::Version;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let version = Version::new("etag");
    /// assert_eq!(version.as_bytes(), b"etag");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(version: impl Into<Vec<u8>>) -> Self {
        Self(version.into())
    }

    /// Returns what the version was created with.
    ///
    /// ```
    /// # use token_cache_fleet::Version;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(Version::new([1]).as_bytes(), [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

// It may be the whole record.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").finish_non_exhaustive()
    }
}
