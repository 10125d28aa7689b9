//! The table of promises in DESIGN.md names the tests that keep them.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

#[test]
fn the_promise_table_names_every_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = fs::read_to_string(root.join("../DESIGN.md")).unwrap();
    let code: String = [root.join("tests"), root.join("src")]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let tests: BTreeSet<&str> = code.lines().filter_map(function).filter(|name| !promises(name).is_empty()).collect();

    let mut named = BTreeSet::new();
    for promise in PROMISES {
        let start = format!("| {promise} | ");
        let row = design.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {promise}"));
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|name| !promises(name).is_empty()).collect();
        assert!(names.iter().any(|name| promises(name).contains(&promise)), "row {promise} has no test of its own");
        for name in names {
            assert!(tests.contains(name), "row {promise} names {name}, which does not exist");
            named.insert(name);
        }
    }
    let missing: Vec<_> = tests.difference(&named).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[test]
fn the_core_names_no_cloud() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Markdown is excluded: the page on performance names the caches that it compares.
    for path in rust_files(&root.join("src")).into_iter().chain([root.join("Cargo.toml")]) {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        for word in ["aws", "amazon", "imds", "sigv4", "access_key"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

const PROMISES: RangeInclusive<u32> = 1..=28;

/// All Rust files of a folder and its subfolders.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The name of the function that is declared on a line.
fn function(line: &str) -> Option<&str> {
    line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?.split('(').next()
}

/// The promises in the name of a test: `p01_p07_...` has two.
fn promises(name: &str) -> Vec<u32> {
    let number = |part: &str| part.strip_prefix('p').filter(|digits| digits.len() == 2)?.parse().ok();
    name.split('_').map_while(number).collect()
}
