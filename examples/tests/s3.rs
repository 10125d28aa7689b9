//! The example `s3`, run as a user does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

use serde_json::Value;

/// Cargo builds the examples of a package before it runs its tests, next to them.
fn s3() -> Command {
    let tests = std::env::current_exe().unwrap();
    let mut program = tests.ancestors().nth(2).unwrap().join("examples/s3");
    program.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "{} is not there: run all tests of the package, or `cargo build --examples`",
        program.display()
    );
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// The one line that an unusable environment or argument leads to.
fn error(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!status.success(), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

#[test]
fn a_run_on_loopback_fails_at_nothing_and_tells_so_on_its_last_line() {
    let output = s3().args(["--seconds", "6", "--workers", "8", "--json"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&report["failed"], &report["rejected"]), (&0.into(), &0.into()), "{report}");
    assert!(report["requests"].as_u64().unwrap() > 100, "{report}");
    assert_eq!(report["sessions"], 2, "{report}");
    assert!((2..=3).contains(&report["fetches"].as_u64().unwrap()), "{report}");
    for key in ["p50", "p99", "max"] {
        assert!(report["get_credential_ns"][key].is_u64(), "{report}");
    }
    // Had they waited for the issuer, it would have been 300 ms.
    assert!(report["get_credential_ns"]["max"].as_u64().unwrap() < 200_000_000, "{report}");
}

#[test]
fn without_credentials_it_says_what_was_tried_and_what_to_do() {
    let mut command = s3();
    command.args(["--url", "s3://bucket/prefix"]);
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    says(&error(&mut command), &["Environment", "EcsContainer", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
}

#[test]
fn without_a_region_it_says_how_to_set_one() {
    let mut command = s3();
    command.args(["--url", "s3://bucket/prefix"]);
    command.envs([("AWS_EC2_METADATA_DISABLED", "true")]);
    command.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "hunter2")]);
    let error = error(&mut command);
    says(&error, &["AWS_REGION"]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_wrong_url_is_told_from_a_right_one() {
    for url in ["http://bucket/prefix", "bucket", "s3://", "s3:///prefix"] {
        says(&error(s3().args(["--url", url])), &[url, "s3://bucket/prefix"]);
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut command = s3();
    command.args(["--url", "s3://bucket/prefix"]);
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")]);
    command.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "hunter2")]);
    let error = error(&mut command);
    says(&error, &["s3://bucket/prefix", "127.0.0.1:9", "us-east-1"]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    says(&error(s3().args(["--port", &port])), &[&format!("127.0.0.1:{port}"), "in use"]);
}
