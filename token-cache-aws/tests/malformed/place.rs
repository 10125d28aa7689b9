//! [`Place`]: the folder of a case, in which it is well or not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A folder with the good files and with the bad ones, of which one or the other is `now`; and the server, which looks there
/// too.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Good,
    Bad,
}

/// Names and contents.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

impl Place {
    /// The file that the source sees.
    pub(crate) fn now(&self, name: &str) -> PathBuf {
        self.folder.join("now").join(name)
    }

    pub(crate) fn write(&self, stage: Stage, files: &Files) {
        let folder = self.folder.join(stage.name());
        fs::create_dir_all(&folder).unwrap();
        for (name, contents) in files {
            fs::write(folder.join(name), contents).unwrap();
        }
    }

    pub(crate) fn remove(&self, stage: Stage, name: &str) {
        fs::remove_file(self.folder.join(stage.name()).join(name)).unwrap();
    }

    /// From here on the source is well, or is not.
    pub(crate) fn set(&self, stage: Stage) {
        let next = self.folder.join("next");
        symlink(stage.name(), &next).unwrap();
        fs::rename(next, self.folder.join("now")).unwrap(); // at once: nobody finds nothing there
    }

    pub(crate) fn stage(&self) -> Stage {
        let link = fs::read_link(self.folder.join("now")).unwrap();
        if link == Path::new(Stage::Bad.name()) { Stage::Bad } else { Stage::Good }
    }
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}
