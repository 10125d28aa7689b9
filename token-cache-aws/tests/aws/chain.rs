//! The default chain, read from an environment: which only a process of its own can have, so each test has a child.

use std::process::{Command, Output};

use super::*;
use token_cache_aws::{IdentitySpec, Registry};

/// Runs the test `child` with this environment and no other.
pub(crate) async fn run(child: &str, env: Vec<(&'static str, String)>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", child, "--ignored", "--nocapture"]);
    command.env_clear().envs(env).env("HOME", std::env::temp_dir().join("no-such-home"));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn succeeds(child: &str, env: Vec<(&'static str, String)>) {
    let output = run(child, env).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn a_containers_environment_is_all_that_it_takes() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    succeeds("chain::child_reads_and_writes", aws.container_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.container, issuer.sessions), (1, 1));
    assert_eq!((s3.sessions, s3.rejected_in_all()), (1, 0));
    assert!(s3.requests >= 20);
}

#[tokio::test]
async fn an_instances_metadata_service_is_all_that_it_takes() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    succeeds("chain::child_reads_and_writes", aws.imds_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.imds_credentials, issuer.sessions), (1, 1));
    assert_eq!((s3.sessions, s3.rejected_in_all()), (1, 0));
}

#[tokio::test]
async fn static_keys_of_the_environment_work_and_never_expire() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    succeeds("chain::child_reads_and_writes", aws.long_term_env()).await;
    assert_eq!(aws.issuer().counts().sessions, 0);
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test]
#[ignore = "the child of the tests above"]
async fn child_reads_and_writes() {
    let cache = AwsTokenCache::from_env().await;
    assert_eq!(cache.region(), Some("us-east-1"));
    assert_eq!(cache.s3_endpoint_url(), std::env::var("AWS_ENDPOINT_URL_S3").ok().as_deref());
    let store = shared(store(&cache));
    let done = all(10, |n| {
        let store = Arc::clone(&store);
        Box::pin(async move { round_trip(&store, &format!("object-{n}")).await })
    });
    for result in done.await {
        result.unwrap();
    }
}

#[tokio::test]
async fn the_process_has_one_shared_instance() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    succeeds("chain::child_asks_for_the_shared_instance", aws.container_env()).await;
    assert_eq!(aws.issuer().counts().container, 1);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_asks_for_the_shared_instance() {
    assert_eq!(AwsTokenCache::default_region().await.as_deref(), Some("us-east-1"));
    let (one, two) = (AwsTokenCache::try_new().await.unwrap(), AwsTokenCache::try_new().await.unwrap());
    assert!(Arc::ptr_eq(&one.get().await.unwrap(), &two.get().await.unwrap()));
    let registered = Registry::process().get(&IdentitySpec::from_env()).await.unwrap();
    assert!(Arc::ptr_eq(&one.get().await.unwrap(), &registered.get().await.unwrap()));
    assert_eq!(two.region(), Some("us-east-1"));
}

#[tokio::test]
async fn without_credentials_the_error_is_one_line_that_says_what_was_tried_and_what_to_do() {
    let env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned()), ("AWS_REGION", "us-east-1".to_owned())];
    let output = run("chain::child_prints_its_error", env).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("ERROR: ")).expect("a line with the error").1;
    for part in [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "Environment",
        "Profile",
        "WebIdentityToken",
        "EcsContainer",
        "Ec2Instance",
    ] {
        assert!(line.contains(part), "no {part} in: {line}");
    }
}

#[tokio::test]
async fn a_metadata_service_that_fails_is_named_in_the_error() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().fail(token_cache_testing::aws::Fault::Status(403));
    let output = run("chain::child_prints_its_error", aws.imds_env()).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("ERROR: ")).expect("a line with the error").1;
    for part in ["instance metadata service", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"] {
        assert!(line.contains(part), "no {part} in: {line}");
    }
}

#[tokio::test]
#[ignore = "the child of the tests above"]
async fn child_prints_its_error() {
    let cache = AwsTokenCache::from_env().await;
    let error = round_trip(&store(&cache), "object").await.unwrap_err();
    println!("\nERROR: {error}");
}
