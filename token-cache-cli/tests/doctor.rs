//! The doctor, over each link of the chain and each way to fail, on loopback.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use token_cache_testing::aws::{FakeAws, Fault};

const SECRET: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

/// Runs the doctor with only this environment.
fn doctor(arguments: &[&str], env: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_token-cache"));
    command.arg("doctor").args(arguments).env_clear().env("HOME", "/nonexistent");
    // No machine is asked, unless the test says so.
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("GCE_METADATA_HOST", "127.0.0.1:1");
    command.envs(env.iter().map(|(name, value)| (name, value))).output().unwrap()
}

/// The checks of a section, by name.
fn checks(section: &str, env: &[(&str, String)]) -> Vec<(String, String, String)> {
    let output = doctor(&["--json", "--cloud", "aws", "--cloud", "google", "--cloud", "azure"], env);
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains(SECRET) && !stderr.contains(SECRET), "a secret is shown: {text} {stderr}");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {stderr}"));
    let sections = report["sections"].as_array().unwrap();
    let section = sections.iter().find(|found| found["name"] == section).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = section["checks"].as_array().unwrap();
    checks.iter().map(|check| (text(&check["name"]), text(&check["state"]), text(&check["text"]))).collect()
}

#[track_caller]
fn assert_check(checks: &[(String, String, String)], name: &str, state: &str, text: &str) {
    let found = checks.iter().any(|check| check.0 == name && check.1 == state && check.2.contains(text));
    assert!(found, "no {name}, {state}, {text:?} in {checks:#?}");
}

fn env<const N: usize>(env: [(&'static str, &str); N]) -> Vec<(&'static str, String)> {
    env.map(|(name, value)| (name, value.to_owned())).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_found_with_its_session() {
    let aws = FakeAws::builder().session_lifetime(Duration::from_secs(3600)).start().await.unwrap();
    let mut variables = aws.container_env();
    variables.push(("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()));
    let found = checks("AWS", &variables);
    assert_check(&found, "environment", "not_set", "AWS_ACCESS_KEY_ID");
    assert_check(&found, "container", "found", "http://127.0.0.1");
    assert_check(&found, "credentials", "found", "a session");
    assert_check(&found, "expiry", "info", "in 59m");
    assert_check(&found, "refresh", "info", "in the background");
    assert_check(&found, "region", "found", aws.region());
    assert_check(&found, "S3 endpoint", "info", "http://127.0.0.1");
    assert_check(&found, "clock", "found", "within");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_and_a_long_term_key_are_found() {
    let aws = FakeAws::builder().start().await.unwrap();
    let mut variables = aws.imds_env();
    variables.push(("AWS_EC2_METADATA_DISABLED", "false".to_owned()));
    assert_check(&checks("AWS", &variables), "credentials", "found", "a session");

    let found = checks("AWS", &aws.long_term_env());
    assert_check(&found, "environment", "found", "a long-term key");
    assert_check(&found, "expiry", "info", "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_fails_is_a_problem() {
    let aws = FakeAws::builder().start().await.unwrap();
    aws.issuer().fail(Fault::Down);
    let found = checks("AWS", &aws.container_env());
    assert_check(&found, "credentials", "problem", "");
    assert!(!doctor(&["--cloud", "aws"], &aws.container_env()).status.success());
}

#[test]
fn nothing_configured_is_no_problem() {
    let found = checks("AWS", &env([("GCE_METADATA_HOST", "")]));
    assert_check(&found, "credentials", "not_set", "no credentials are configured");
    assert_check(&found, "region", "not_set", "AWS_REGION");
    let output = doctor(&["--cloud", "aws"], &[]);
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("   -  credentials") && !table.contains('\x1b'), "{table}");
}

#[test]
fn each_half_of_a_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    fs::write(&config, format!("[profile reader]\naws_access_key_id = AKIA\naws_secret_access_key = {SECRET}\n"))
        .unwrap();
    let config = config.display().to_string();
    for (variables, name, state, text) in [
        (env([("AWS_ACCESS_KEY_ID", "AKIA")]), "environment", "problem", "without AWS_SECRET_ACCESS_KEY"),
        (env([("AWS_SECRET_ACCESS_KEY", SECRET)]), "environment", "problem", "without AWS_ACCESS_KEY_ID"),
        (env([("AWS_PROFILE", "missing")]), "profile", "problem", "which is in no file"),
        (env([("AWS_PROFILE", "reader"), ("AWS_CONFIG_FILE", &config)]), "profile", "found", "aws_secret_access_key"),
        (env([("AWS_CONFIG_FILE", folder.path().to_str().unwrap())]), "profile", "problem", "directory"),
        (env([("AWS_WEB_IDENTITY_TOKEN_FILE", "/missing")]), "web identity", "problem", "without AWS_ROLE_ARN"),
        (
            env([("AWS_WEB_IDENTITY_TOKEN_FILE", "/missing"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/a")]),
            "web identity",
            "problem",
            "/missing",
        ),
        (
            env([
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/missing"),
            ]),
            "container",
            "problem",
            "/missing",
        ),
    ] {
        let found = checks("AWS", &variables);
        assert_check(&found, name, state, text);
    }
}

#[test]
fn google_and_azure_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    let path = key.display().to_string();
    for (content, state, text) in [
        (format!(r#"{{"type": "service_account", "private_key": "{SECRET}"}}"#), "found", "service_account"),
        (format!(r#"{{"private_key": "{SECRET}"}}"#), "problem", "no known `type`"),
        (format!("{{{SECRET}"), "problem", "is not JSON"),
    ] {
        fs::write(&key, content).unwrap();
        let found = checks("Google Cloud", &env([("GOOGLE_APPLICATION_CREDENTIALS", &path)]));
        assert_check(&found, "variable", state, text);
        assert_check(&found, "metadata server", "problem", "");
    }
    for (variables, name, state, text) in [
        (env([("AZURE_CLIENT_SECRET", SECRET)]), "environment", "problem", "without AZURE_TENANT_ID"),
        (
            env([("AZURE_CLIENT_SECRET", SECRET), ("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")]),
            "environment",
            "found",
            "the service principal c",
        ),
        (env([("AZURE_FEDERATED_TOKEN_FILE", "/missing")]), "workload identity", "problem", "/missing"),
        (env([("IDENTITY_ENDPOINT", "http://u:p@host/x?y")]), "managed identity", "problem", "IDENTITY_HEADER"),
        (
            env([("IDENTITY_ENDPOINT", "http://u:p@host/x?y"), ("IDENTITY_HEADER", SECRET)]),
            "managed identity",
            "found",
            "http://host/x",
        ),
    ] {
        assert_check(&checks("Azure", &variables), name, state, text);
    }
}

#[test]
fn proxies_and_certificates_are_shown_without_their_users() {
    let found = checks(
        "Network",
        &env([("HTTPS_PROXY", &format!("http://user:{SECRET}@proxy:3128")), ("AWS_CA_BUNDLE", "/missing.pem")]),
    );
    assert_check(&found, "proxy", "info", "HTTPS_PROXY=http://proxy:3128");
    assert_check(&found, "no proxy", "info", "NO_PROXY is not set");
    assert_check(&found, "certificates", "problem", "/missing.pem");
}

/// The README shows what the doctor prints, apart from numbers.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_a_real_report() {
    let aws = FakeAws::builder().session_lifetime(Duration::from_secs(3600)).start().await.unwrap();
    let mut variables = aws.container_env();
    variables.push(("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()));
    let output = doctor(&["--cloud", "aws"], &variables);
    let table = String::from_utf8(output.stdout).unwrap();
    println!("{table}");
    let readme = include_str!("../README.md");
    let shown = readme.split_once("```text\n").unwrap().1.split_once("```").unwrap().0;
    let without_numbers = |text: &str| {
        let text: String = text.chars().map(|c| if c.is_ascii_digit() { ' ' } else { c }).collect();
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    // How far the first refresh is away, is drawn.
    let is_drawn = |line: &&String| line.contains("would refresh");
    let (shown, table) = (without_numbers(shown), without_numbers(&table));
    assert_eq!(
        shown.iter().filter(|line| !is_drawn(line)).collect::<Vec<_>>(),
        table.iter().filter(|line| !is_drawn(line)).collect::<Vec<_>>()
    );
}
