//! The README's table of line counts is up to date.

use std::fs;
use std::path::Path;

/// Counts lines that are neither blank nor a comment. The adapters must not have block comments.
fn lines_of_code(code: &str) -> usize {
    assert!(!code.contains("/*"));
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn the_readme_counts_the_lines_of_each_adapter() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(".rs`"));
    let mut rows: Vec<(&str, Vec<&str>)> =
        rows.map(|(name, rest)| (name, rest.split('|').map(str::trim).collect())).collect();
    rows.sort_unstable_by_key(|(name, _)| *name);

    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["arroyo", "comet", "datafusion_cli", "delta_rs", "lance", "restate"]);
    for (name, cells) in &rows {
        let code = fs::read_to_string(root.join("src").join(name).with_extension("rs")).unwrap();
        let (before, after): (usize, usize) = (cells[3].parse().unwrap(), cells[4].parse().unwrap());
        assert_eq!(after, lines_of_code(&code), "{name}.rs");
        assert!(after < before, "{name}.rs");
    }
    let total = readme.lines().find(|line| line.starts_with("| all six ")).unwrap();
    let sum = |column: usize| rows.iter().map(|(_, cells)| cells[column].parse::<usize>().unwrap()).sum::<usize>();
    assert!(total.contains(&format!("| {} | {} |", sum(3), sum(4))), "{} and {}: {total}", sum(3), sum(4));
}
