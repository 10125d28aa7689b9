//! The default chain, which reads the environment.

use std::sync::Arc;

use token_cache_aws::{AwsTokenCache, IdentitySpec, Registry};
use token_cache_testing::aws::Fault;

use super::harness::*;

#[tokio::test]
async fn a_container_environment_is_sufficient() {
    let aws = TestAws::start().await;
    child_succeeds("chain::child_reads_and_writes", aws.container_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.container, issuer.sessions), (1, 1));
    assert_eq!((s3.sessions, s3.rejected_in_all()), (1, 0));
    assert_eq!(s3.requests, 16);
}

#[tokio::test]
async fn an_instance_metadata_service_is_sufficient() {
    let aws = TestAws::start().await;
    child_succeeds("chain::child_reads_and_writes", aws.imds_env()).await;
    let (issuer, s3) = (aws.issuer().counts(), aws.s3().counts());
    assert_eq!((issuer.imds_credentials, issuer.sessions), (1, 1));
    assert_eq!((s3.sessions, s3.rejected_in_all()), (1, 0));
}

#[tokio::test]
async fn static_keys_in_the_environment_are_used() {
    let aws = TestAws::start().await;
    child_succeeds("chain::child_reads_and_writes", aws.long_term_env()).await;
    assert_eq!(aws.issuer().counts().sessions, 0);
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test]
#[ignore = "the child process of the tests above"]
async fn child_reads_and_writes() {
    let cache = AwsTokenCache::from_env().await;
    assert_eq!(cache.region(), Some("us-east-1"));
    assert_eq!(cache.s3_endpoint_url(), std::env::var("AWS_ENDPOINT_URL_S3").ok().as_deref());
    Load::new(&cache).round().await;
}

#[tokio::test]
async fn the_process_has_one_shared_instance() {
    let aws = TestAws::start().await;
    child_succeeds("chain::child_gets_the_shared_instance", aws.container_env()).await;
    assert_eq!(aws.issuer().counts().container, 1);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_gets_the_shared_instance() {
    assert_eq!(AwsTokenCache::default_region().await.as_deref(), Some("us-east-1"));
    let (one, two) = (AwsTokenCache::try_new().await.unwrap(), AwsTokenCache::try_new().await.unwrap());
    assert!(Arc::ptr_eq(&one.get().await.unwrap(), &two.get().await.unwrap()));
    let registered = Registry::process().get(&IdentitySpec::from_env()).await.unwrap();
    assert!(Arc::ptr_eq(&one.get().await.unwrap(), &registered.get().await.unwrap()));
    assert_eq!(two.region(), Some("us-east-1"));
}

#[tokio::test]
async fn without_credentials_one_line_names_the_providers_and_the_remedy() {
    let env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned()), ("AWS_REGION", "us-east-1".to_owned())];
    let providers = ["Environment", "Profile", "WebIdentityToken", "EcsContainer", "Ec2Instance"];
    let error = child_report("chain::child_prints_the_error_of_a_store", env).await;
    assert_contains(&error, &providers);
    assert_contains(&error, &["AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
}

#[tokio::test]
async fn a_failing_metadata_service_is_named_in_the_error() {
    let aws = TestAws::start().await;
    aws.issuer().fail(Fault::Status(403));
    let error = child_report("chain::child_prints_the_error_of_a_store", aws.imds_env()).await;
    assert_contains(&error, &["instance metadata service", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
}

#[tokio::test]
#[ignore = "the child process of the tests above"]
async fn child_prints_the_error_of_a_store() {
    let cache = AwsTokenCache::from_env().await;
    let error = round_trip(&store(&cache), "object").await.unwrap_err();
    token_cache_test_support::report(error);
}
