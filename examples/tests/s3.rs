//! Runs the example `s3` the way a user does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::env::consts::EXE_EXTENSION;
use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;

/// Credentials that look real and that no error may show.
const CREDENTIALS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
const SECRET: &str = "hunter2";

/// The example with an empty environment.
///
/// Before cargo runs the tests of a package, it builds the package's examples in a directory beside them.
fn s3() -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/s3").with_extension(EXE_EXTENSION);
    assert!(program.exists(), "{} is missing: run `cargo build --examples` first", program.display());
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// Runs a command that must fail, and returns the single line that it writes to standard error.
fn error_of(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!status.success(), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains(SECRET), "{stderr}");
    stderr
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

/// The session outlives the run by hours, so that no result depends on how fast the machine is.
#[test]
fn a_run_on_loopback_succeeds_and_prints_json() {
    let mut command = s3();
    command.args(["--seconds", "1", "--workers", "8", "--session-seconds", "43200", "--json"]);
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    for key in ["failed", "rejected", "failed_fetches", "waited"] {
        assert_eq!(report[key], 0, "{key}: {report}");
    }
    let count = |key: &str| report[key].as_u64().unwrap();
    assert!(count("requests") >= 8, "each worker sends a request: {report}");
    assert!((1..=count("fetches")).contains(&count("sessions")), "{report}");
    let [p50, p99, max] = ["p50", "p99", "max"].map(|key| report["get_credential_ns"][key].as_u64().unwrap());
    assert!(p50 <= p99 && p99 <= max, "{report}");
}

#[test]
fn without_credentials_the_error_lists_the_sources() {
    let mut command = s3();
    command.args(["--url", "s3://bucket/prefix"]);
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    let error = error_of(&mut command);
    assert_contains(&error, &["Environment", "EcsContainer", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
}

#[test]
fn without_a_region_the_error_names_the_variable() {
    let mut command = s3();
    command.args(["--url", "s3://bucket/prefix"]);
    command.env("AWS_EC2_METADATA_DISABLED", "true").envs(CREDENTIALS);
    assert_contains(&error_of(&mut command), &["AWS_REGION"]);
}

#[test]
fn an_invalid_url_is_an_error() {
    for url in ["http://bucket/prefix", "bucket", "s3://", "s3:///prefix"] {
        assert_contains(&error_of(s3().args(["--url", url])), &[url, "s3://bucket/prefix"]);
    }
}

#[test]
fn the_error_names_an_unreachable_server() {
    let mut command = s3();
    command.args(["--url", "s3://bucket/prefix"]);
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")]).envs(CREDENTIALS);
    assert_contains(&error_of(&mut command), &["s3://bucket/prefix", "127.0.0.1:9", "us-east-1"]);
}

#[test]
fn the_error_names_an_occupied_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert_contains(&error_of(s3().args(["--port", &port])), &[&format!("127.0.0.1:{port}"), "in use"]);
}
