//! As `get_s3_object_store_builder` of datafusion-cli uses it.

use object_store_0_13::Error;
use object_store_0_13::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use token_cache_adapters::datafusion_cli::with_credentials;
use token_cache_core::BoxError;
use token_cache_testing::aws::Fault;

use crate::stores::v0_13::{of_bucket, round_trip, traffic};
use crate::{ROTATIONS, SECOND, SHORT_SESSION, aws_with_sessions_of, child};

/// datafusion-cli's own lines for a table without keys of its own.
async fn table() -> Result<AmazonS3, BoxError> {
    let builder = with_credentials(AmazonS3Builder::from_env()).await?;
    assert_eq!(builder.get_config_value(&AmazonS3ConfigKey::Region).as_deref(), Some("us-east-1"));
    Ok(of_bucket(builder))
}

#[tokio::test]
async fn twenty_requests_over_two_tables_cost_one_call_to_the_issuer() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    child::succeeds("datafusion_cli::child_opens_two_tables", aws.container_env()).await;
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
async fn it_reads_and_writes_through_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    child::succeeds("datafusion_cli::child_reads_and_writes", aws.imds_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!(s3.rejected_in_all(), 0);
    assert!((3..=6).contains(&s3.sessions), "{} sessions", s3.sessions);
    assert!(issuer.imds_credentials <= s3.sessions as u64 + 1, "{issuer:?} for {} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    traffic(table().await.unwrap(), ROTATIONS).await;
}

#[tokio::test]
async fn where_nothing_is_configured_the_requests_are_not_signed() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let env = vec![
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_REGION", aws.region().to_owned()),
        ("AWS_ENDPOINT_URL_S3", aws.s3().endpoint()),
    ];
    child::succeeds("datafusion_cli::child_is_anonymous", env).await;
    let s3 = aws.s3().counts();
    assert_eq!((s3.requests, s3.rejected("AccessDenied")), (1, 1));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_is_anonymous() {
    // The kit's bucket is not open to everybody, and says so to who does not sign.
    let error = round_trip(&table().await.unwrap(), "object").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
}

#[tokio::test]
async fn an_issuer_that_fails_is_an_error_and_makes_nobody_anonymous() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    aws.issuer().fail(Fault::Status(403));
    child::succeeds("datafusion_cli::child_cannot_open_a_table", aws.container_env()).await;
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
