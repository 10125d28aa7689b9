//! The adapter of Restate, called as in its `create_object_store_client`.

use std::io::Write;

use object_store_0_13::aws::AmazonS3ConfigKey;
use tempfile::NamedTempFile;
use token_cache_adapters::restate::s3_builder;
use token_cache_adapters::upstream::ObjectStoreOptions;
use token_cache_test_support::wait_until;
use token_cache_testing::aws::{FakeAws, Fault, OutageState};

use crate::stores::v0_13::{of_bucket, round_trip, use_sessions};
use crate::{SECOND, SESSIONS, aws_with_sessions_of, run_child, variable};

/// A configuration file whose profile `snapshots` assumes a role with the keys of another profile.
fn config_file(aws: &FakeAws) -> NamedTempFile {
    let (key, mut file) = (aws.long_term_key(), NamedTempFile::new().unwrap());
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    let (s3, sts) = (aws.s3().endpoint(), aws.issuer().sts_endpoint());
    write!(
        file,
        "[profile keys]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n\
         [profile snapshots]\nrole_arn = arn:aws:iam::123456789012:role/writer\nsource_profile = keys\n\
         region = eu-north-1\nservices = loopback\n\
         [services loopback]\ns3 =\n  endpoint_url = {s3}\nsts =\n  endpoint_url = {sts}\n"
    )
    .unwrap();
    file
}

#[tokio::test]
async fn no_request_fails_while_the_issuer_is_down() {
    // The sessions are refreshed with at least 4 s left, so they outlive the outage.
    let aws = aws_with_sessions_of(8 * SECOND).await;
    let file = config_file(&aws);
    let env = vec![
        ("AWS_CONFIG_FILE", file.path().to_str().unwrap().to_owned()),
        ("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()),
    ];
    let outage = async {
        wait_until("a session", async || aws.issuer().counts().answered > 0).await;
        // It begins with the next refresh.
        aws.issuer().outage_at_next_request(Fault::Down, 3 * SECOND / 2);
    };
    tokio::join!(run_child("restate::child_reads_and_writes", env), outage);
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert!(matches!(aws.issuer().outage(), OutageState::Over { .. }), "{:?}", aws.issuer().outage());
    assert!(issuer.assume_role > issuer.answered, "no request during the outage: {issuer:?}");
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    let options = ObjectStoreOptions { aws_profile: Some("snapshots".to_owned()), ..ObjectStoreOptions::default() };
    let builder = s3_builder(&options).await.unwrap();
    assert_eq!(builder.get_config_value(&AmazonS3ConfigKey::Region).as_deref(), Some("eu-north-1"));
    use_sessions(of_bucket(builder), SESSIONS).await;
}

#[tokio::test]
async fn restates_region_overrides_the_environment() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    run_child("restate::child_has_an_environment", aws.container_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.container, s3.sessions, s3.rejected_in_all()), (1, 1, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_an_environment() {
    let options = ObjectStoreOptions { aws_region: Some("eu-south-2".to_owned()), ..ObjectStoreOptions::default() };
    let builder = s3_builder(&options).await.unwrap();
    assert_eq!(builder.get_config_value(&AmazonS3ConfigKey::Region).as_deref(), Some("eu-south-2"));
    round_trip(&of_bucket(builder), "object").await.unwrap();
}

#[tokio::test]
async fn restates_keys_override_the_environment() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let (key, mut env) = (aws.long_term_key(), aws.container_env());
    env.push(("OPTION_ID", key.access_key_id().to_owned()));
    env.push(("OPTION_SECRET", key.secret_access_key().to_owned()));
    run_child("restate::child_has_keys", env).await;
    assert_eq!(aws.issuer().counts().credential_requests(), 0);
    let s3 = aws.s3().counts();
    assert_eq!((s3.requests, s3.sessions, s3.rejected_in_all()), (2, 0, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_keys() {
    let id = variable("OPTION_ID");
    let options = ObjectStoreOptions { aws_access_key_id: Some(id.clone()), ..ObjectStoreOptions::default() };
    // Restate continues like this.
    let builder = s3_builder(&options).await.unwrap();
    let builder = builder.with_access_key_id(id).with_secret_access_key(variable("OPTION_SECRET"));
    let builder = builder.with_endpoint(variable("AWS_ENDPOINT_URL_S3")).with_allow_http(true);
    round_trip(&of_bucket(builder), "object").await.unwrap();
}

#[tokio::test]
async fn a_missing_region_is_an_error() {
    let env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned())];
    run_child("restate::child_has_no_region", env).await;
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_no_region() {
    let error = s3_builder(&ObjectStoreOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("region"), "{error}");
}
