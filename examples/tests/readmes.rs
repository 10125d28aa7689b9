//! Every link of every README resolves, also where a registry shows it, and every program compiles as it stands.

use std::fs;
use std::path::{Path, PathBuf};

const REPOSITORY: &str = "https://github.com/token-cache/token-cache/";

#[test]
fn all_links_resolve() {
    let (root, mut links) = (root(), 0);
    for (folder, text) in readmes() {
        let is_root = folder == root;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            links += 1;
            let path = match link.strip_prefix(REPOSITORY) {
                Some(path) => path.strip_prefix("blob/main/").or_else(|| path.strip_prefix("tree/main/")),
                None if link.starts_with("https://") => continue,
                // A registry shows the README of a crate outside of the repository.
                None => is_root.then_some(link),
            };
            let path = path.unwrap_or_else(|| panic!("{folder:?}: {link} does not resolve"));
            let (path, anchor) = path.split_once('#').unwrap_or((path, ""));
            assert!(root.join(path).exists(), "{folder:?}: {link} does not exist");
            let heading = anchor.replace('-', " ");
            let has_heading = text.lines().any(|line| line.starts_with('#') && line.to_lowercase().ends_with(&heading));
            assert!(anchor.is_empty() || has_heading, "{folder:?}: {link} has no heading");
        }
        assert!(is_root || !fs::symlink_metadata(folder.join("README.md")).expect("a README").is_symlink());
    }
    assert!(links > 60, "{links}");
}

/// Whoever copies a program, copies all of it: the pages do not hide lines, as rustdoc does.
#[test]
fn all_programs_are_whole_and_compiled() {
    let mut programs = 0;
    for (folder, text) in readmes() {
        // Code blocks are every second part.
        for code in text.split("```").skip(1).step_by(2).filter(|code| code.starts_with("rust")) {
            programs += 1;
            let (attributes, code) = code.split_once('\n').expect("a line");
            assert!(["rust", "rust,no_run"].contains(&attributes), "{folder:?}: {attributes} is not compiled");
            assert!(
                code.lines().all(|line| line != "#" && !line.starts_with("# ")),
                "{folder:?}: hidden lines in {code}"
            );
            assert!(code.contains("async fn main()"), "{folder:?}: not a program: {code}");
        }
        let is_compiled = |source: &str| {
            fs::read_to_string(folder.join(source)).is_ok_and(|code| code.contains("include_str!(\"../README.md\")"))
        };
        let has_programs = text.contains("```rust");
        assert!(
            !has_programs || folder == root() || is_compiled("src/lib.rs"),
            "{folder:?}: no test compiles the README"
        );
    }
    assert!(programs >= 9, "{programs}");
}

/// The README of the repository and those of the crates, with their folders.
fn readmes() -> impl Iterator<Item = (PathBuf, String)> {
    let folders = fs::read_dir(root()).expect("the root").map(|entry| entry.expect("an entry").path());
    folders.chain([root()]).filter_map(|folder| {
        let text = fs::read_to_string(folder.join("README.md")).ok()?;
        Some((folder, text))
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
