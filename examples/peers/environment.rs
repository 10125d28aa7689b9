//! The environment of a run: cores, compiler, load and package versions.

use std::process::Command;

/// The number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The first line of `rustc -V`.
pub(crate) fn rustc() -> String {
    let output = Command::new("rustc").arg("-V").output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown rustc version".to_owned(), |text| text.trim().to_owned())
}

/// The version of `package` in `Cargo.lock`. If several versions are locked, this is the newest: the file is sorted.
pub(crate) fn version(package: &str) -> Option<&'static str> {
    let packages = include_str!("../../Cargo.lock").split("[[package]]");
    let package = packages.filter(|text| text.trim_start().starts_with(&format!("name = \"{package}\"\n"))).last()?;
    package.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

/// The load average over the last minute. Empty on systems without `/proc/loadavg`.
#[allow(dead_code, reason = "used by the benchmark only")]
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
