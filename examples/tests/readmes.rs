//! Every link of every README resolves, also where a registry shows it.

use std::fs;
use std::path::Path;

const REPOSITORY: &str = "https://github.com/token-cache/token-cache/";

#[test]
fn all_links_resolve() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut links = 0;
    let folders = fs::read_dir(&root).expect("the root").map(|entry| entry.expect("an entry").path());
    for folder in folders.chain([root.clone()]).filter(|folder| folder.join("README.md").exists()) {
        let text = fs::read_to_string(folder.join("README.md")).expect("a README");
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
