//! The adapter of delta-rs, used as in its object store factory: with the options of a table.

use std::sync::Arc;

use object_store_0_13::aws::{AmazonS3, AmazonS3Builder};
use token_cache_adapters::delta_rs::{resolve_credentials, role};
use token_cache_adapters::upstream::StorageOptions;
use token_cache_aws::{AssumeRole, AwsTokenCache};
use token_cache_testing::aws::FakeAws;

use crate::stores::v0_13::{of_bucket, round_trip, use_sessions};
use crate::{Env, SECOND, SESSIONS, SHORT_SESSION, aws_with_sessions_of, run_child, run_concurrently, variable};

/// The endpoints of STS and S3. The keys are for the options: the SDK finds none in this environment.
fn environment(aws: &FakeAws) -> Env {
    let key = aws.long_term_key();
    vec![
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()),
        ("AWS_ENDPOINT_URL_S3", aws.s3().endpoint()),
        ("OPTION_ID", key.access_key_id().to_owned()),
        ("OPTION_SECRET", key.secret_access_key().to_owned()),
    ]
}

fn options() -> StorageOptions {
    let options = [
        ("aws_region", "eu-north-1"),
        ("AWS_ACCESS_KEY_ID", &variable("OPTION_ID")),
        ("secret_access_key", &variable("OPTION_SECRET")),
        ("AWS_IAM_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
        ("AWS_IAM_ROLE_SESSION_NAME", "job-7"),
    ];
    options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn store(credentials: &AwsTokenCache) -> AmazonS3 {
    let builder = AmazonS3Builder::new().with_region("eu-north-1").with_credentials(Arc::new(credentials.clone()));
    of_bucket(builder.with_endpoint(variable("AWS_ENDPOINT_URL_S3")).with_allow_http(true))
}

#[tokio::test]
async fn the_store_and_sdk_clients_share_one_call() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().set_delay(SECOND / 10);
    run_child("delta_rs::child_uses_both", environment(&aws)).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.assume_role, issuer.sessions, issuer.caller_identity), (1, 1, 10));
    assert_eq!((s3.requests, s3.sessions, s3.rejected_in_all()), (40, 1, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_uses_both() {
    let credentials = resolve_credentials(&options()).await;
    assert_eq!(credentials.region(), Some("eu-north-1"));
    let (store, sdk) = (Arc::new(store(&credentials)), credentials.sdk_config());
    let objects = run_concurrently(20, |n| {
        let store = Arc::clone(&store);
        async move { round_trip(&store, &format!("object-{n}")).await.unwrap() }
    });
    let callers = run_concurrently(10, |_| {
        let client = aws_sdk_sts::Client::new(&sdk);
        async move { client.get_caller_identity().send().await.unwrap() }
    });
    let (_, callers) = tokio::join!(objects, callers);
    for caller in callers {
        // The role and the session name of the options.
        assert_eq!(caller.arn(), Some("arn:aws:sts::123456789012:assumed-role/reader/job-7"));
    }
}

#[tokio::test]
async fn no_request_fails_during_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    run_child("delta_rs::child_reads_and_writes", environment(&aws)).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
    assert!(issuer.assume_role <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    use_sessions(store(&resolve_credentials(&options()).await), SESSIONS).await;
}

#[tokio::test]
async fn keys_in_the_options_are_used_without_a_role() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    run_child("delta_rs::child_has_keys_only", environment(&aws)).await;
    assert_eq!(aws.issuer().counts().credential_requests(), 0);
    let s3 = aws.s3().counts();
    assert_eq!((s3.requests, s3.sessions, s3.rejected_in_all()), (2, 0, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_keys_only() {
    let mut options = options();
    options.remove("AWS_IAM_ROLE_ARN");
    round_trip(&store(&resolve_credentials(&options).await), "object").await.unwrap();
}

#[tokio::test]
async fn without_options_the_environment_is_used() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    run_child("delta_rs::child_has_no_options", aws.container_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.container, s3.sessions, s3.rejected_in_all()), (1, 1, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_no_options() {
    let credentials = resolve_credentials(&StorageOptions::new()).await;
    assert_eq!(credentials.region(), Some("us-east-1"));
    round_trip(&store(&credentials), "object").await.unwrap();
}

#[test]
fn the_role_is_read_from_the_options() {
    const ARN: &str = "arn:aws:iam::123456789012:role/reader";
    let read = |options: &[(&str, &str)]| {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        role(&options.collect())
    };
    assert_eq!(read(&[("AWS_IAM_ROLE_SESSION_NAME", "job")]), None);
    assert_eq!(read(&[("AWS_S3_ASSUME_ROLE_ARN", ARN)]), Some(AssumeRole::new(ARN).session_name("delta-rs")));
    let all = [
        ("AWS_IAM_ROLE_ARN", ARN),
        ("AWS_S3_ASSUME_ROLE_ARN", "another"),
        ("AWS_S3_ROLE_SESSION_NAME", "job"),
        ("AWS_IAM_ROLE_EXTERNAL_ID", "tenant-7"),
    ];
    assert_eq!(read(&all), Some(AssumeRole::new(ARN).session_name("job").external_id("tenant-7")));
}
