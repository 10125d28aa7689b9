//! The promises in DESIGN.md and the tests that keep them. `UPDATE_PROMISES=1` writes docs/promises.md anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[test]
fn the_list_of_promises_names_every_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let design = fs::read_to_string(root.join("DESIGN.md")).unwrap();
    let meanings: Vec<&str> = (1..)
        .map_while(|promise| {
            design.lines().find_map(|line| line.strip_prefix(&format!("| {promise} | "))?.strip_suffix(" |"))
        })
        .collect();
    assert_eq!(meanings.len(), 28, "promises in DESIGN.md");

    let expected = promises_page(&meanings, &tests(root));
    let page = root.join("docs/promises.md");
    if env::var_os("UPDATE_PROMISES").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    let written = fs::read_to_string(page).unwrap_or_default();
    assert_eq!(written, expected, "docs/promises.md is outdated: run this test with UPDATE_PROMISES=1");
}

/// The tests of each promise, by the path of their file.
type Tests = BTreeMap<(u32, String), BTreeSet<String>>;

fn tests(root: &Path) -> Tests {
    let mut tests = Tests::new();
    for path in ["tests", "src"].iter().flat_map(|folder| rust_files(&root.join("token-cache-core").join(folder))) {
        let file = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        for name in fs::read_to_string(&path).unwrap().lines().filter_map(function) {
            for promise in promises(name) {
                tests.entry((promise, file.clone())).or_default().insert(name.to_owned());
            }
        }
    }
    tests
}

fn promises_page(meanings: &[&str], tests: &Tests) -> String {
    let mut page = "# The tests of each promise\n\n\
        The promises are those of [DESIGN.md](../DESIGN.md#promises-and-their-tests). This page is generated from the names of the \
        tests.\n"
        .to_owned();
    for (promise, meaning) in (1..).zip(meanings) {
        write!(page, "\n## {promise}\n\n{meaning}\n").unwrap();
        let files: Vec<_> = tests.iter().filter(|((number, _), _)| *number == promise).collect();
        assert!(!files.is_empty(), "promise {promise} has no test");
        for ((_, file), names) in files {
            let names: String = names.iter().map(|name| format!("- `{name}`\n")).collect();
            write!(page, "\n[{file}](../{file}):\n\n{names}").unwrap();
        }
    }
    page
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
