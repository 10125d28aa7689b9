//! What the configuration says besides credentials, and what the caller has set.

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
use token_cache_aws::AwsTokenCache;

use super::harness::*;

fn env(variables: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut env = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned())];
    env.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    env
}

async fn prints(child: &str, variables: &[(&'static str, &str)]) -> String {
    child_report(&format!("settings::{child}"), env(variables)).await
}

/// <https://github.com/awslabs/mountpoint-s3/issues/274>
#[tokio::test]
async fn what_the_builder_has_stays() {
    let variables = [("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")];
    child_succeeds("settings::child_sets_its_builder", env(&variables)).await;
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_sets_its_builder() {
    let aws = AwsTokenCache::from_env().await;
    let builder = AmazonS3Builder::new().with_region("eu-central-1").with_endpoint("https://example.com");
    let configured = aws.configure(builder);
    assert_eq!(configured.get_config_value(&Key::Region).as_deref(), Some("eu-central-1"));
    assert_eq!(configured.get_config_value(&Key::Endpoint).as_deref(), Some("https://example.com"));
    let configured = aws.configure(AmazonS3Builder::new().with_region("eu-central-1"));
    assert_eq!(configured.get_config_value(&Key::Region).as_deref(), Some("eu-central-1"));
    assert_eq!(configured.get_config_value(&Key::Endpoint).as_deref(), Some("http://127.0.0.1:1"));
    let older = object_store_0_12::aws::AmazonS3Builder::new().with_region("eu-central-1");
    let region = object_store_0_12::aws::AmazonS3ConfigKey::Region;
    assert_eq!(aws.configure(older).get_config_value(&region).as_deref(), Some("eu-central-1"));
}

/// <https://github.com/boto/botocore/issues/1627>
#[tokio::test]
async fn an_empty_setting_is_not_set() {
    let s3 = ("AWS_ENDPOINT_URL_S3", "");
    let general = ("AWS_ENDPOINT_URL", "http://127.0.0.1:2");
    for region in ["", " ", "\n"] {
        let variables = [("AWS_REGION", region), ("AWS_DEFAULT_REGION", "eu-north-1"), s3, general];
        assert_eq!(prints("child_prints_its_endpoint", &variables).await, "eu-north-1 http://127.0.0.1:2");
    }
    assert_eq!(prints("child_prints_its_endpoint", &[("AWS_REGION", "")]).await, "none none");
}

/// <https://github.com/apache/arrow-rs-object-store/issues/779>
#[tokio::test]
async fn endpoints_are_those_of_the_partition() {
    let cases = [
        ("us-gov-west-1", "AWS_USE_FIPS_ENDPOINT", "true", "https://s3-fips.us-gov-west-1.amazonaws.com"),
        ("us-east-1", "AWS_USE_DUALSTACK_ENDPOINT", "TRUE", "https://s3.dualstack.us-east-1.amazonaws.com"),
        ("cn-north-1", "AWS_USE_FIPS_ENDPOINT", "false", "https://s3.cn-north-1.amazonaws.com.cn"),
        ("eu-north-1", "AWS_USE_FIPS_ENDPOINT", "", "none"),
    ];
    for (region, variable, value, endpoint) in cases {
        let printed = prints("child_prints_its_endpoint", &[("AWS_REGION", region), (variable, value)]).await;
        assert_eq!(printed, format!("{region} {endpoint}"));
    }
    let china = [("AWS_REGION", "cn-north-1"), ("AWS_USE_FIPS_ENDPOINT", "true")];
    let error = child_report("identity::child_prints_its_error", env(&china)).await;
    assert_contains(&error, &["Permanent", "cn-north-1", "AWS_USE_FIPS_ENDPOINT"]);
}

#[tokio::test]
#[ignore = "the child process of the tests above"]
async fn child_prints_its_endpoint() {
    let aws = AwsTokenCache::from_env().await;
    let configured = aws.configure(AmazonS3Builder::new());
    let value = |key| configured.get_config_value(&key).unwrap_or_else(|| "none".to_owned());
    token_cache_test_support::report(format_args!("{} {}", value(Key::Region), value(Key::Endpoint)));
}

/// object_store asks for a session at the endpoint that is neither, whatever endpoint is set.
#[tokio::test]
async fn a_directory_bucket_never_uses_another_endpoint_than_the_configured_one() {
    for variable in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIAX"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1")];
        let variables = [keys.as_slice(), &[(variable, "true")]].concat();
        let printed = prints("child_writes_to_a_directory_bucket", &variables).await;
        assert_contains(&printed, &[variable, "S3 Express", "use another bucket"]);
    }
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_writes_to_a_directory_bucket() {
    let aws = AwsTokenCache::from_env().await;
    let builder = AmazonS3Builder::new().with_bucket_name("bucket--use1-az4--x-s3").with_s3_express(true);
    let error = round_trip(&aws.configure(builder).build().unwrap(), "object").await.unwrap_err();
    token_cache_test_support::report(format_args!("{error} {error:?}"));
}

/// <https://github.com/awslabs/aws-sdk-kotlin/issues/1315>, <https://github.com/aws/aws-sdk-go/issues/1226>
#[tokio::test]
async fn no_proxy_sees_requests_for_this_machine() {
    let aws = TestAws::start().await;
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        for mut env in [aws.container_env(), aws.imds_env()] {
            // Nothing listens there. Requests of the store go past the proxy too.
            env.push((variable, "http://127.0.0.1:1".to_owned()));
            env.push(("NO_PROXY", String::new()));
            child_succeeds("settings::child_gets_credentials", env).await;
        }
    }
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_gets_credentials() {
    AwsTokenCache::from_env().await.get().await.unwrap();
}

/// A write must not succeed under another identity than the one whose key the builder has.
#[tokio::test]
async fn a_key_that_the_builder_has_is_not_replaced() {
    let aws = TestAws::start().await;
    let cache = aws.cache().await;
    let (own, session) = (aws.long_term_key(), cache.get().await.unwrap());
    let builder = || cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET));
    let error = round_trip(&builder().with_access_key_id("unused").build().unwrap(), "after").await;
    assert!(error.is_ok(), "what is set later has no effect in object_store");
    for key_id in [own.access_key_id(), "AKIAOTHER"] {
        let explicit = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_access_key_id(key_id)
            .with_secret_access_key(own.secret_access_key());
        let error = round_trip(&cache.configure(explicit).build().unwrap(), "explicit").await.unwrap_err();
        let error = format!("{error} {error:?}");
        assert!(error.contains("remove the key, or do not call `configure`"), "{error}");
        assert!(!error.contains(own.secret_access_key()), "{error}");
    }
    let same = AmazonS3Builder::new().with_bucket_name(BUCKET).with_access_key_id(session.access_key_id());
    let store = cache.configure(same).build().unwrap();
    round_trip(&store, "same").await.unwrap();
    assert!(!format!("{:?}", store.credentials()).contains(session.access_key_id()), "the key id is not printed");
}

#[tokio::test]
async fn a_key_that_the_builder_has_is_used_without_other_credentials() {
    let aws = TestAws::start().await;
    let (id, secret) = (aws.long_term_key().access_key_id(), aws.long_term_key().secret_access_key());
    let variables = [("S3", &*aws.s3().endpoint()), ("ID", id), ("SECRET", secret), ("AWS_REGION", "us-east-1")];
    child_succeeds("settings::child_writes_with_its_own_key", env(&variables)).await;
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_writes_with_its_own_key() {
    let variable = |name| std::env::var(name).unwrap();
    let builder = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_allow_http(true)
        .with_endpoint(variable("S3"))
        .with_access_key_id(variable("ID"))
        .with_secret_access_key(variable("SECRET"));
    let cache = AwsTokenCache::from_env().await;
    round_trip(&cache.configure_or_anonymous(builder).await.unwrap().build().unwrap(), "own").await.unwrap();
}
