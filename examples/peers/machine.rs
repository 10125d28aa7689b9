//! What it was measured on, and of which version.

use std::process::Command;

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

pub(crate) fn rustc() -> String {
    let answer = Command::new("rustc").arg("-V").output().ok().filter(|output| output.status.success());
    let text = answer.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "rustc of unknown version".to_owned(), |text| text.trim().to_owned())
}

/// The version of a package that was built, by the lock file; of two, the newer, which stands last.
pub(crate) fn version(package: &str) -> Option<&'static str> {
    let packages = include_str!("../../Cargo.lock").split("[[package]]");
    let package = packages.filter(|text| text.trim_start().starts_with(&format!("name = \"{package}\"\n"))).last()?;
    package.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

/// How many processes wanted a core, on average over the last minute.
#[allow(dead_code, reason = "the scenarios count, and need no quiet")]
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
