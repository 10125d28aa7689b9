//! [`Files`]: records in a directory of one host.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::fs::{FlockOperation, flock};
use token_cache_core::BoxError;
use tokio::task::spawn_blocking;

use crate::store::{Store, Version};

/// A directory that the processes of one host and user share. Unix only.
///
/// Records are replaced by renaming, so that a reader sees the old or the new one. A change holds `flock` on a lock file, which is
/// never deleted: the kernel releases the lock of a process that is killed. Files have mode 600.
///
/// On NFS with caching, a process may see an old record. That costs fetches, nothing else.
///
/// Operations run in tokio's blocking threads.
#[derive(Clone, Debug)]
pub struct Files {
    directory: Arc<Path>,
}

impl Files {
    /// Uses a directory, which is created with mode 700 if it does not exist. Its parent has to exist.
    ///
    /// # Errors
    ///
    /// It cannot be created, belongs to another user, or other users may write to it
    /// ([`PermissionDenied`](io::ErrorKind::PermissionDenied)).
    ///
    /// ```no_run
    /// # use token_cache_fleet::Files;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Files::new("/run/my-service/tokens")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        let problem = |kind, text: &str| io::Error::new(kind, format!("{}: {text}", directory.display()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(problem(error.kind(), &error.to_string()));
            }
            _ => {}
        }
        let metadata = fs::metadata(&directory).map_err(|error| problem(error.kind(), &error.to_string()))?;
        if !metadata.is_dir() {
            return Err(problem(io::ErrorKind::NotADirectory, "not a directory"));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(problem(io::ErrorKind::PermissionDenied, "belongs to another user"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(problem(
                io::ErrorKind::PermissionDenied,
                "other users may write to it: run `chmod go-w` on it",
            ));
        }
        Ok(Self { directory: directory.into() })
    }

    fn path(&self, name: &str) -> Result<PathBuf, BoxError> {
        let file_name = utf8_percent_encode(name, ESCAPED).to_string();
        if file_name.len() > MAX_NAME_LEN {
            return Err(format!("a name of {} bytes is too long for a file", file_name.len()).into());
        }
        Ok(self.directory.join(file_name))
    }
}

#[async_trait]
impl Store for Files {
    async fn load(&self, name: &str) -> Result<Option<(Version, Vec<u8>)>, BoxError> {
        let path = self.path(name)?;
        let record = spawn_blocking(move || read(&path)).await??;
        Ok(record.map(|record| (Version::new(record.clone()), record)))
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&Version>,
        record: Vec<u8>,
        _: Duration,
    ) -> Result<Option<Version>, BoxError> {
        let (path, expected) = (self.path(name)?, expected.cloned());
        let is_stored = spawn_blocking({
            let record = record.clone();
            move || swap(&path, expected.as_ref().map(Version::as_bytes), &record)
        });
        Ok(is_stored.await??.then(|| Version::new(record)))
    }
}

fn swap(path: &Path, expected: Option<&[u8]>, record: &[u8]) -> io::Result<bool> {
    let lock = private().read(true).write(true).create(true).open(with_extension_added(path, "lock"))?;
    acquire(&lock)?;
    // The lock is released when its file is closed.
    if read(path)?.as_deref() != expected {
        return Ok(false);
    }
    // Only the owner of the lock writes it. What a killed process has left is overwritten.
    let temporary = with_extension_added(path, "new");
    let mut file = private().write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(record)?;
    drop(file);
    fs::rename(&temporary, path)?;
    Ok(true)
}

/// Not `flock` without `NONBLOCK`: a process that was stopped while it has the lock must not occupy a thread of this one.
fn acquire(lock: &File) -> io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => thread::sleep(LOCK_INTERVAL),
            result => return result.map_err(Into::into),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another process has had the lock for too long"))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut record = Vec::new();
    file.take(MAX_RECORD_LEN).read_to_end(&mut record)?;
    Ok(Some(record))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// `Path::with_added_extension`, which is of Rust 1.91.
fn with_extension_added(path: &Path, extension: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// What is escaped in the name of a file.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'=').remove(b'@');

/// In bytes. Most file systems allow 255, with the extension.
const MAX_NAME_LEN: usize = 240;
const MAX_RECORD_LEN: u64 = 1 << 20;

/// A second in all, half of what an operation may take.
const LOCK_ATTEMPTS: u32 = 500;
const LOCK_INTERVAL: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn only_the_user_can_read_the_files() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("tokens");
        let files = Files::new(&directory).unwrap();
        files.swap("a/b ü", None, b"record".to_vec(), Duration::ZERO).await.unwrap().unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
        }
        assert_eq!(fs::read(directory.join("a%2Fb%20%C3%BC")).unwrap(), b"record");
    }

    #[tokio::test]
    async fn bad_directories_and_names_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("tokens");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(Files::new(&directory).unwrap_err().to_string().contains("chmod go-w"));
        fs::write(parent.path().join("file"), "").unwrap();
        assert!(Files::new(parent.path().join("file")).unwrap_err().to_string().contains("not a directory"));
        assert!(Files::new(parent.path().join("missing/tokens")).unwrap_err().to_string().contains("missing/tokens"));
        let files = Files::new(parent.path().join("other")).unwrap();
        let error = files.load(&"ü".repeat(100)).await.unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn a_lock_that_is_held_ends_in_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record");
        assert!(swap(&path, None, b"a").unwrap());
        let lock = File::open(directory.path().join("record.lock")).unwrap();
        acquire(&lock).unwrap();
        assert_eq!(swap(&path, Some(b"a"), b"b").unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(lock);
        assert!(!swap(&path, Some(b"b"), b"c").unwrap());
        fs::write(directory.path().join("record.new"), "left by a killed process").unwrap();
        assert!(swap(&path, Some(b"a"), b"b").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"b");
    }
}
