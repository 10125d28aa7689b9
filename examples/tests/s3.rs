//! Runs the example `s3` the way a user does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;

use serde_json::Value;
use token_cache_test_support::{ChildOutput, ChildProcess};

/// Credentials that look real and that no error may show.
const CREDENTIALS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
const SECRET: &str = "hunter2";

fn s3<const N: usize>(arguments: [&str; N]) -> ChildProcess {
    ChildProcess::example("s3").args(arguments)
}

/// Runs a command that must fail, and returns the single line that it writes to standard error.
async fn error_of(s3: ChildProcess) -> String {
    let ChildOutput { status, stdout, stderr, .. } = s3.run().await;
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
#[tokio::test]
async fn a_run_on_loopback_succeeds_and_prints_json() {
    let output = s3(["--seconds", "1", "--workers", "8", "--session-seconds", "43200", "--json"]).run().await;
    let report: Value = serde_json::from_str(output.assert_success().stdout.lines().last().unwrap()).unwrap();
    for key in ["failed", "rejected", "failed_fetches", "waited"] {
        assert_eq!(report[key], 0, "{key}: {report}");
    }
    let count = |key: &str| report[key].as_u64().unwrap();
    assert!(count("requests") >= 8, "each worker sends a request: {report}");
    assert!((1..=count("fetches")).contains(&count("sessions")), "{report}");
    let [p50, p99, max] = ["p50", "p99", "max"].map(|key| report["get_credential_ns"][key].as_u64().unwrap());
    assert!(p50 <= p99 && p99 <= max, "{report}");
}

#[tokio::test]
async fn without_credentials_the_error_lists_the_sources() {
    let variables = [("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let error = error_of(s3(["--url", "s3://bucket/prefix"]).envs(variables)).await;
    assert_contains(&error, &["Environment", "EcsContainer", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
}

#[tokio::test]
async fn without_a_region_the_error_names_the_variable() {
    let s3 = s3(["--url", "s3://bucket/prefix"]).env("AWS_EC2_METADATA_DISABLED", "true").envs(CREDENTIALS);
    assert_contains(&error_of(s3).await, &["AWS_REGION"]);
}

#[tokio::test]
async fn an_invalid_url_is_an_error() {
    for url in ["http://bucket/prefix", "bucket", "s3://", "s3:///prefix"] {
        assert_contains(&error_of(s3(["--url", url])).await, &[url, "s3://bucket/prefix"]);
    }
}

#[tokio::test]
async fn the_error_names_an_unreachable_server() {
    let variables = [("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")];
    let s3 = s3(["--url", "s3://bucket/prefix"]).envs(variables).envs(CREDENTIALS);
    assert_contains(&error_of(s3).await, &["s3://bucket/prefix", "127.0.0.1:9", "us-east-1"]);
}

#[tokio::test]
async fn the_error_names_an_occupied_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert_contains(&error_of(s3(["--port", &port])).await, &[&format!("127.0.0.1:{port}"), "in use"]);
}
