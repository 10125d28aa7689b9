//! As `create_object_store_client` of Restate uses it.

use std::io::Write;

use object_store_0_13::aws::AmazonS3ConfigKey;
use tempfile::NamedTempFile;
use token_cache_adapters::restate::s3_builder;
use token_cache_adapters::theirs::ObjectStoreOptions;
use token_cache_testing::aws::{FakeAws, Fault, OutageState};

use crate::stores::v0_13::{of_bucket, round_trip, traffic};
use crate::{SECOND, aws_with_sessions_of, child};

/// A configuration file whose profile `snapshots` assumes a role with the keys of another.
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
async fn with_the_issuer_down_near_the_expiry_no_request_fails() {
    let aws = aws_with_sessions_of(6 * SECOND).await;
    let file = config_file(&aws);
    let env = vec![
        ("AWS_CONFIG_FILE", file.path().to_str().unwrap().to_owned()),
        ("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()),
    ];
    let outage = async {
        while aws.issuer().counts().answered == 0 {
            tokio::time::sleep(SECOND / 100).await;
        }
        // It begins with the refresh, half of a session before its end.
        aws.issuer().outage_at_next_request(Fault::Down, 3 * SECOND / 2);
    };
    tokio::join!(child::succeeds("restate::child_reads_and_writes", env), outage);
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert!(matches!(aws.issuer().outage(), OutageState::Over { .. }), "{:?}", aws.issuer().outage());
    assert!(issuer.assume_role > issuer.answered, "no request of the outage: {issuer:?}");
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= 3, "{} sessions", s3.sessions);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_reads_and_writes() {
    let options = ObjectStoreOptions { aws_profile: Some("snapshots".to_owned()), ..ObjectStoreOptions::default() };
    let builder = s3_builder(&options).await.unwrap();
    assert_eq!(builder.get_config_value(&AmazonS3ConfigKey::Region).as_deref(), Some("eu-north-1"));
    traffic(of_bucket(builder), 11 * SECOND).await;
}

#[tokio::test]
async fn the_environment_will_do_and_restates_own_region_comes_first() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    child::succeeds("restate::child_has_an_environment", aws.container_env()).await;
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
async fn keys_of_restates_own_are_used_and_the_environments_are_not() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let (key, mut env) = (aws.long_term_key(), aws.container_env());
    env.push(("OPTION_ID", key.access_key_id().to_owned()));
    env.push(("OPTION_SECRET", key.secret_access_key().to_owned()));
    child::succeeds("restate::child_has_keys", env).await;
    assert_eq!(aws.issuer().counts().credential_requests(), 0);
    let s3 = aws.s3().counts();
    assert_eq!((s3.requests, s3.sessions, s3.rejected_in_all()), (2, 0, 0));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_keys() {
    let id = child::env("OPTION_ID");
    let options = ObjectStoreOptions { aws_access_key_id: Some(id.clone()), ..ObjectStoreOptions::default() };
    // And what Restate does to it then.
    let builder = s3_builder(&options).await.unwrap();
    let builder = builder.with_access_key_id(id).with_secret_access_key(child::env("OPTION_SECRET"));
    let builder = builder.with_endpoint(child::env("AWS_ENDPOINT_URL_S3")).with_allow_http(true);
    round_trip(&of_bucket(builder), "object").await.unwrap();
}

#[tokio::test]
async fn without_a_region_it_says_so() {
    let env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned())];
    child::succeeds("restate::child_has_no_region", env).await;
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_has_no_region() {
    let error = s3_builder(&ObjectStoreOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("region"), "{error}");
}
