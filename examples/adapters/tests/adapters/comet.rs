//! The adapter of Comet, used as in its executors: one store per task, all with the same role.

use std::io::Write;

use object_store_0_13::aws::{AmazonS3, AmazonS3Builder};
use tempfile::NamedTempFile;
use token_cache_adapters::comet::credentials;
use token_cache_testing::aws::FakeAws;

use crate::stores::v0_13::{of_bucket, round_trip, use_sessions};
use crate::{Env, SECOND, SESSIONS, SHORT_SESSION, aws_with_sessions_of, run_child, run_concurrently};

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// A node with a role, which may assume other roles.
fn node(aws: &FakeAws) -> Env {
    let mut env = aws.imds_env();
    env.push(("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()));
    env
}

async fn store(role: Option<&str>) -> AmazonS3 {
    of_bucket(credentials(role, None).await.unwrap().configure(AmazonS3Builder::new()))
}

#[tokio::test]
async fn a_hundred_tasks_of_one_role_make_one_call() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().set_delay(SECOND / 5);
    run_child("comet::child_runs_a_hundred_tasks", node(&aws)).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.assume_role, issuer.imds_credentials), (1, 1));
    assert_eq!((s3.requests, s3.sessions, s3.rejected_in_all()), (200, 1, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_runs_a_hundred_tasks() {
    let stores = run_concurrently(100, |n| async move {
        let store = store(Some(ROLE)).await;
        round_trip(&store, &format!("object-{n}")).await.unwrap();
        store
    });
    drop(stores.await);
}

#[tokio::test]
async fn no_request_fails_during_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    run_child("comet::child_reads_and_writes", node(&aws)).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
    assert!(issuer.assume_role <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
    assert!(issuer.imds_credentials <= issuer.assume_role + 1, "{issuer:?}");
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    use_sessions(store(Some(ROLE)).await, SESSIONS).await;
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_named_in_the_error() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    run_child("comet::child_may_not_assume_its_role", node(&aws)).await;
    assert_eq!((aws.issuer().counts().imds_credentials, aws.s3().counts().requests), (1, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_may_not_assume_its_role() {
    const NONE: &str = "arn:aws:iam::1234:role/none";
    let error = round_trip(&store(Some(NONE)).await, "object").await.unwrap_err();
    assert!(error.to_string().contains(NONE), "{error}");
}

#[tokio::test]
async fn a_refused_web_identity_is_not_replaced_by_the_node() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let mut token = NamedTempFile::new().unwrap();
    token.write_all(b"an invalid token").unwrap();
    let mut env = node(&aws);
    env.push(("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap().to_owned()));
    env.push(("AWS_ROLE_ARN", ROLE.to_owned()));
    run_child("comet::child_is_refused", env).await;
    let issuer = aws.issuer().counts();
    assert!(issuer.other > 0, "no request to STS: {issuer:?}");
    assert_eq!((issuer.imds_credentials, aws.s3().counts().requests), (0, 0));
}

#[tokio::test]
async fn an_incomplete_web_identity_is_not_replaced_by_the_node() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let mut env = node(&aws);
    env.push(("AWS_ROLE_ARN", ROLE.to_owned()));
    run_child("comet::child_is_refused", env).await;
    assert_eq!(aws.s3().counts().requests, 0);
}

#[tokio::test]
#[ignore = "the child of the tests above"]
async fn child_is_refused() {
    let error = round_trip(&store(None).await, "object").await.unwrap_err();
    println!("{error}");
}
