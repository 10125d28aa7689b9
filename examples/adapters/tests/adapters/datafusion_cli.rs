//! The adapter of datafusion-cli, called as in its `get_s3_object_store_builder`.

use object_store_0_13::Error;
use object_store_0_13::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use token_cache_adapters::datafusion_cli::with_credentials;
use token_cache_core::BoxError;
use token_cache_testing::aws::Fault;

use crate::stores::v0_13::{of_bucket, round_trip, use_sessions};
use crate::{SECOND, SESSIONS, SHORT_SESSION, aws_with_sessions_of, run_child};

/// The code of datafusion-cli for a table without keys.
async fn table() -> Result<AmazonS3, BoxError> {
    let builder = with_credentials(AmazonS3Builder::from_env()).await?;
    assert_eq!(builder.get_config_value(&AmazonS3ConfigKey::Region).as_deref(), Some("us-east-1"));
    Ok(of_bucket(builder))
}

#[tokio::test]
async fn two_tables_make_one_call_to_the_issuer() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    run_child("datafusion_cli::child_opens_two_tables", aws.container_env()).await;
    assert_eq!(aws.issuer().counts().container, 1);
    let s3 = aws.s3().counts();
    assert_eq!((s3.requests, s3.sessions, s3.rejected_in_all()), (20, 1, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_opens_two_tables() {
    let tables = [table().await.unwrap(), table().await.unwrap()];
    for n in 0..10 {
        round_trip(&tables[n % 2], &format!("object-{n}")).await.unwrap();
    }
}

#[tokio::test]
async fn no_request_fails_during_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    run_child("datafusion_cli::child_reads_and_writes", aws.imds_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
    assert!(issuer.imds_credentials <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    use_sessions(table().await.unwrap(), SESSIONS).await;
}

#[tokio::test]
async fn without_credentials_requests_are_unsigned() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let env = vec![
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_REGION", aws.region().to_owned()),
        ("AWS_ENDPOINT_URL_S3", aws.s3().endpoint()),
    ];
    run_child("datafusion_cli::child_is_anonymous", env).await;
    let s3 = aws.s3().counts();
    assert_eq!((s3.requests, s3.rejected("AccessDenied")), (1, 1));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_is_anonymous() {
    // The bucket is not public, so S3 denies a request without a signature.
    let error = round_trip(&table().await.unwrap(), "object").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
}

#[tokio::test]
async fn a_failing_issuer_is_an_error() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().fail(Fault::Status(403));
    run_child("datafusion_cli::child_cannot_open_a_table", aws.container_env()).await;
    assert!(aws.issuer().counts().container > 0);
    assert_eq!(aws.s3().counts().requests, 0);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_cannot_open_a_table() {
    let error = table().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the container's endpoint, which AWS_CONTAINER_CREDENTIALS_FULL_URI names, has failed"),
        "{error}"
    );
}
