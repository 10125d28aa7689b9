//! The table of promises in DESIGN.md stays true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All files of a folder, and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn each_promise_has_its_row_with_tests_that_are_there_and_each_test_has_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = fs::read_to_string(root.join("../DESIGN.md")).unwrap();
    let code: String = [root.join("tests"), root.join("src")]
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();

    let mut named = BTreeSet::new();
    for promise in 1..=24 {
        let start = format!("| {promise} | ");
        let row = design.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {promise}"));
        let tests: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|name| name.starts_with('p')).collect();
        let own = tests.iter().filter(|name| name.contains(&format!("p{promise:02}_"))).count();
        assert!(own > 0, "promise {promise} has no test of its own");
        for name in tests.into_iter().filter(|name| name[1..3].parse::<u32>().is_ok()) {
            assert!(code.contains(&format!("fn {name}(")), "row {promise} names {name}, which is not there");
            named.insert(name.to_owned());
        }
    }
    let there = code.lines().filter_map(|line| {
        let name = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?.split('(').next()?;
        let digits = name.strip_prefix('p')?.get(..2)?;
        (digits.parse::<u32>().is_ok() && name.as_bytes().get(3) == Some(&b'_')).then(|| name.to_owned())
    });
    let missing: Vec<_> = there.filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[test]
fn the_core_has_no_word_of_the_cloud_it_was_first_built_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The page on performance names the peers that it is measured beside.
    let code = files(&root.join("src")).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    for path in code.chain([root.join("Cargo.toml")]) {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        for word in ["aws", "amazon", "imds", "sigv4", "access_key"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}
