//! [`ChildProcess`]: a test or an example in a process with its own environment.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};

use tokio::process::Command;

/// A child process with no environment but the one that it is given.
///
/// Credential chains read the environment, which a process shares among all its tests. A test that needs its own
/// environment therefore has a second, ignored test as its child:
///
/// ```no_run
/// use token_cache_test_support::{ChildProcess, report};
///
/// #[tokio::test]
/// async fn the_region_comes_from_the_environment() {
///     let output = ChildProcess::test("child_prints_its_region").env("AWS_REGION", "eu-north-1").run().await;
///     assert_eq!(output.assert_success().report(), "eu-north-1");
/// }
///
/// #[tokio::test]
/// #[ignore = "the child of the test above"]
/// async fn child_prints_its_region() {
///     report(std::env::var("AWS_REGION").unwrap());
/// }
/// ```
///
/// The child keeps the parent's `PATH`. Its `HOME` does not exist, unless it is set.
#[derive(Debug)]
pub struct ChildProcess {
    command: Command,
    /// The test that it runs, if it runs one.
    test: Option<String>,
}

impl ChildProcess {
    /// Runs the ignored test `name` of the current test binary. `name` is the full path, such as `module::child_reads`.
    ///
    /// # Panics
    ///
    /// If the current executable has no path.
    #[must_use]
    pub fn test(name: &str) -> Self {
        let mut command = Self::command(env::current_exe().expect("a test binary has a path"));
        command.args(["--exact", name, "--ignored", "--nocapture"]).env(IS_CHILD, "1");
        Self { command, test: Some(name.to_owned()) }
    }

    /// Runs the example `name` of the current package. Cargo builds it with the package's tests.
    ///
    /// # Panics
    ///
    /// If the example is not built.
    #[must_use]
    pub fn example(name: &str) -> Self {
        let tests = env::current_exe().expect("a test binary has a path");
        let target = tests.ancestors().nth(2).expect("a test binary is in target/PROFILE/deps");
        let mut program = target.join("examples").join(name);
        program.set_extension(env::consts::EXE_EXTENSION);
        let path = program.display();
        assert!(program.exists(), "{path} does not exist: run all tests of the package, or `cargo build --examples`");
        Self { command: Self::command(program), test: None }
    }

    fn command(program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        command.env("HOME", env::temp_dir().join("token-cache-no-such-home"));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets several variables.
    #[must_use]
    pub fn envs(mut self, variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        self.command.envs(variables);
        self
    }

    /// Adds command-line arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs the child until it exits, however long that takes. Dropping the future kills the child.
    ///
    /// # Panics
    ///
    /// If the child cannot be started, or if the test binary has no ignored test of this name.
    pub async fn run(mut self) -> ChildOutput {
        let Output { status, stdout, stderr } = self.command.output().await.expect("the child starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let output = ChildOutput { status, stdout: text(stdout), stderr: text(stderr) };
        if let Some(name) = &self.test {
            // libtest succeeds where no test has this name.
            assert!(output.stdout.contains("running 1 test"), "there is no ignored test {name}: {output:?}");
        }
        output
    }
}

/// How a [`ChildProcess`] ended, and what it printed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildOutput {
    /// The exit status.
    pub status: ExitStatus,
    /// The standard output. Bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// The standard error. Bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl ChildOutput {
    /// Returns the output of a child that succeeded.
    ///
    /// # Panics
    ///
    /// If the child failed. The message has all its output.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "often called for the check alone")]
    pub fn assert_success(self) -> Self {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }

    /// The lines that the child passed to [`report`].
    pub fn reports(&self) -> impl Iterator<Item = &str> {
        self.stdout.lines().filter_map(|line| line.strip_prefix(REPORT))
    }

    /// The one line that the child passed to [`report`].
    ///
    /// # Panics
    ///
    /// If the child reported nothing, or more than one line.
    #[track_caller]
    #[must_use]
    pub fn report(&self) -> &str {
        let mut reports = self.reports();
        match (reports.next(), reports.next()) {
            (Some(report), None) => report,
            _ => panic!("the child has not reported one line:\n{}\n{}", self.stdout, self.stderr),
        }
    }
}

/// In a child: passes one line to the parent, which finds it in [`ChildOutput::reports`].
pub fn report(line: impl Display) {
    // libtest leaves the cursor behind the name of the test.
    println!("\n{REPORT}{line}");
}

/// Whether this process is the child of a [`ChildProcess::test`].
///
/// `cargo test -- --include-ignored` runs the children without their parents. A child that needs its parent returns at
/// once if this is false.
#[must_use]
pub fn is_child() -> bool {
    env::var_os(IS_CHILD).is_some()
}

const IS_CHILD: &str = "TOKEN_CACHE_TEST_CHILD";
const REPORT: &str = "REPORT: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_has_only_the_environment_that_it_is_given() {
        let output = ChildProcess::test("child::tests::child_reports_its_environment").env("GIVEN", "1").run().await;
        let output = output.assert_success();
        let mut names: Vec<_> = output.reports().collect();
        names.sort_unstable();
        assert_eq!(names, ["GIVEN", "HOME", "PATH", IS_CHILD]);
    }

    #[test]
    #[ignore = "the child of the test above"]
    fn child_reports_its_environment() {
        for (name, _) in env::vars_os().filter(|_| is_child()) {
            report(name.display());
        }
    }

    #[tokio::test]
    #[should_panic(expected = "this child fails")]
    async fn the_output_of_a_failed_child_is_shown() {
        ChildProcess::test("child::tests::child_fails").run().await.assert_success();
    }

    #[test]
    #[ignore = "the child of the test above"]
    fn child_fails() {
        assert!(!is_child(), "this child fails");
    }

    #[tokio::test]
    #[should_panic(expected = "there is no ignored test no_such_test")]
    async fn a_child_without_a_test_is_an_error() {
        ChildProcess::test("no_such_test").run().await;
    }
}
