//! [`Directory`]: where the objects are, deleted at the end or, after a kill, by the next start.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory that only its owner can read: objects of a test may be copies of real ones.
pub(super) struct Directory {
    directory: TempDir,
    /// Locked while the process lives.
    _lock: File,
}

impl Directory {
    /// Also deletes the directories of processes that were killed.
    pub(super) fn create() -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        delete_abandoned(parent);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let directory = builder.prefix(PREFIX).tempdir_in(parent)?;
        // Locked before it has its name, so that nobody takes the directory for abandoned.
        let unnamed = directory.path().join("new-lock");
        let lock = File::create(&unnamed)?;
        try_lock(&lock)?;
        fs::rename(unnamed, directory.path().join(LOCK))?;
        fs::create_dir(directory.path().join(OBJECTS))?;
        Ok(Self { directory, _lock: lock })
    }

    /// For the objects.
    pub(super) fn objects(&self) -> PathBuf {
        self.directory.path().join(OBJECTS)
    }
}

/// Errors are ignored: other users have such directories too.
fn delete_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Not through a link.
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if File::open(entry.path().join(LOCK)).and_then(|lock| try_lock(&lock)).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[expect(clippy::incompatible_msrv, reason = "the feature `aws` needs a newer Rust than the crate")]
fn try_lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(io::Error::from)
}

const PREFIX: &str = "fake-aws-";
const LOCK: &str = "lock";
const OBJECTS: &str = "objects";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::aws::FakeAws;

    #[tokio::test]
    async fn dropping_the_servers_deletes_their_directory() {
        let aws = FakeAws::builder().start().await.unwrap();
        aws.s3().create_bucket("bucket").unwrap();
        let objects = aws._directory.objects();
        assert!(objects.join("bucket").is_dir());
        drop(aws);
        assert!(!objects.exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_directory() {
        use std::os::unix::fs::PermissionsExt;

        let directory = Directory::create().unwrap();
        assert_eq!(directory.directory.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn only_abandoned_directories_are_deleted() {
        let parent = tempfile::tempdir().unwrap();
        let living = Directory::create_in(parent.path()).unwrap();
        // As a killed process leaves them: its lock is gone, or was never there.
        for (name, lock) in [("fake-aws-killed", Some(LOCK)), ("fake-aws-starting", None), ("other", Some(LOCK))] {
            let path = parent.path().join(name);
            fs::create_dir_all(path.join(OBJECTS)).unwrap();
            lock.iter().for_each(|lock| drop(File::create(path.join(lock)).unwrap()));
        }
        let second = Directory::create_in(parent.path()).unwrap();
        let exists = |name: &str| parent.path().join(name).exists();
        assert!(living.objects().exists() && second.objects().exists());
        assert!(!exists("fake-aws-killed") && exists("fake-aws-starting") && exists("other"));
        let path = living.directory.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
