//! [`Fixture`]: the folder of a case, and the switch between its good and its bad files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A folder with the good files and the bad files, one set of which is current, and the URL of the case's server. The
/// server looks at the same switch.
#[derive(Clone)]
pub(crate) struct Fixture {
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

impl Fixture {
    /// The path under which the source finds a current file.
    pub(crate) fn current(&self, name: &str) -> PathBuf {
        self.folder.join("current").join(name)
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

    /// Makes the files and the responses of `stage` current. The switch is atomic: a source always finds one set of files.
    pub(crate) fn switch_to(&self, stage: Stage) {
        let next = self.folder.join("next");
        symlink(stage.name(), &next).unwrap();
        fs::rename(next, self.folder.join("current")).unwrap();
    }

    pub(crate) fn stage(&self) -> Stage {
        let link = fs::read_link(self.folder.join("current")).unwrap();
        if link == Path::new(Stage::Bad.name()) { Stage::Bad } else { Stage::Good }
    }

    /// Records that the source has made a request that will not be answered.
    pub(crate) fn set_requested(&self) {
        fs::write(self.folder.join(REQUESTED), "").unwrap();
    }

    /// Whether [`set_requested`](Self::set_requested) was called since the last call of
    /// [`clear_requested`](Self::clear_requested).
    pub(crate) fn is_requested(&self) -> bool {
        self.folder.join(REQUESTED).exists()
    }

    pub(crate) fn clear_requested(&self) {
        if self.is_requested() {
            fs::remove_file(self.folder.join(REQUESTED)).unwrap();
        }
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

/// An empty file in the folder of the fixture.
pub(crate) const REQUESTED: &str = "requested";
