//! Which identity is used: only the one that is configured, and none only if none is configured.

use std::sync::Arc;

use futures::future::join_all;
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use token_cache_aws::{AssumeRole, AwsTokenCache, IdentitySpec, Registry, is_no_credentials};
use token_cache_core::ErrorKind;
use token_cache_testing::aws::{FakeAws, Fault};

use super::harness::*;

/// The environment of an instance with a role, plus `more`.
fn instance_env(aws: &FakeAws, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut env = aws.imds_env();
    env.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    env
}

async fn error_with(env: Vec<(&'static str, String)>) -> String {
    child_report("identity::child_prints_its_error", env).await
}

#[tokio::test]
#[ignore = "the child process of the tests below"]
async fn child_prints_its_error() {
    report_error(&AwsTokenCache::from_env().await.get().await.unwrap_err());
}

#[tokio::test]
async fn half_a_key_is_an_error_and_not_the_instance_role() {
    let aws = TestAws::start().await;
    for (set, unset) in [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
    {
        let error = error_with(instance_env(&aws, &[(set, "AKIAONLYHALF")])).await;
        assert!(error.starts_with("Permanent") && error.contains(&format!("sets {set} but not {unset}")), "{error}");
        assert!(!error.contains("ONLYHALF"), "{error}");
    }
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
async fn an_unknown_profile_is_an_error_and_not_the_instance_role() {
    let aws = TestAws::start().await;
    let error = error_with(instance_env(&aws, &[("AWS_PROFILE", "analytics")])).await;
    assert_contains(&error, &["Permanent", "AWS_PROFILE", "\"analytics\"", "~/.aws/config", "AWS_CONFIG_FILE"]);
}

#[tokio::test]
async fn half_of_web_identity_is_an_error_and_not_the_instance_role() {
    let aws = TestAws::start().await;
    let error = error_with(instance_env(&aws, &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")])).await;
    assert!(error.starts_with("Permanent") && error.contains("but not AWS_ROLE_ARN"), "{error}");
    let error = error_with(instance_env(&aws, &[("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")])).await;
    assert!(error.starts_with("Permanent") && error.contains("but not AWS_WEB_IDENTITY_TOKEN_FILE"), "{error}");
}

#[tokio::test]
async fn a_missing_token_file_is_an_error_and_not_the_instance_role() {
    let aws = TestAws::start().await;
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
    let error = error_with(instance_env(&aws, &[role, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")])).await;
    assert!(error.contains("No such file") || error.contains("not found"), "{error}");
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
async fn a_named_profile_uses_only_that_profile() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::write(&config, "[profile empty]\nregion = eu-north-1\n").unwrap();
    let aws = TestAws::start().await;
    let mut env = instance_env(&aws, &[("AWS_CONFIG_FILE", config.to_str().unwrap())]);
    env.extend(aws.long_term_env());
    env.retain(|(name, _)| *name != "AWS_REGION");
    child_succeeds("identity::child_uses_profiles", env).await;
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_uses_profiles() {
    // The region may come from the instance if the profile has none.
    for (name, region) in [("empty", "eu-north-1"), ("nowhere", "us-east-1")] {
        let profile = AwsTokenCache::from_profile(name).await;
        let error = profile.get().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent);
        assert_contains(&error.to_string(), &[&format!("the profile \"{name}\" has no credentials")]);
        assert!(!is_no_credentials(&error), "a profile was named");
        assert_eq!(profile.region(), Some(region));
    }
}

#[tokio::test]
async fn a_named_profile_may_assume_its_role_with_the_keys_of_another() {
    let aws = TestAws::start().await;
    let home = tempfile::tempdir().unwrap();
    let (config, key) = (home.path().join("config"), aws.long_term_key());
    let keys =
        format!("aws_access_key_id = {}\naws_secret_access_key = {}", key.access_key_id(), key.secret_access_key());
    let role = "role_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base";
    std::fs::write(&config, format!("[profile base]\n{keys}\n[profile reader]\n{role}\n")).unwrap();
    let mut env = aws.long_term_env();
    for (name, value) in &mut env {
        if name.ends_with("_KEY") || name.ends_with("_KEY_ID") {
            *value = "another".to_owned();
        }
    }
    env.push(("AWS_CONFIG_FILE", config.to_str().unwrap().to_owned()));
    child_succeeds("identity::child_uses_the_role_of_its_profile", env).await;
    assert_eq!((aws.issuer().counts().assume_role, aws.s3().counts().sessions), (1, 1));
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_uses_the_role_of_its_profile() {
    let cache = AwsTokenCache::from_profile("reader").await;
    round_trip(&store(&cache), "object").await.unwrap();
}

#[tokio::test]
async fn a_repaired_profile_is_read_again() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("credentials");
    std::fs::write(&file, "[default\naws_access_key_id = broken\n").unwrap();
    let aws = TestAws::start().await;
    let key = aws.long_term_key();
    let env = vec![
        ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap().to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("KEY", key.access_key_id().to_owned()),
        ("SECRET", key.secret_access_key().to_owned()),
    ];
    child_succeeds("identity::child_repairs_its_profile", env).await;
}

/// It waits for the pacing of a cache with the default settings, which takes about three seconds.
#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_repairs_its_profile() {
    let cache = AwsTokenCache::from_env().await;
    let first = cache.get().await.unwrap_err();
    tokio::time::sleep(SECOND).await;
    // A provider of the SDK that is kept repeats its first error in other words.
    let second = cache.cache().refresh().await.unwrap_err();
    let cause = |error: &token_cache_core::Error| error.to_string().split(" (next").next().map(ToOwned::to_owned);
    assert_eq!(cause(&second), cause(&first));

    let env = |name| std::env::var(name).unwrap();
    let write_key = |key: &str| {
        let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {}\n", env("SECRET"));
        std::fs::write(env("AWS_SHARED_CREDENTIALS_FILE"), text).unwrap();
    };
    write_key(&env("KEY"));
    let repaired = loop {
        match cache.get().await {
            Ok(credentials) => break credentials,
            Err(error) => tokio::time::sleep(error.retry_after().unwrap()).await,
        }
    };
    assert_eq!(repaired.access_key_id(), env("KEY"));

    // Keys without an expiry are kept until they are rejected, and then read again.
    write_key("AKIAROTATEDKEY");
    assert_eq!(cache.get().await.unwrap().access_key_id(), env("KEY"));
    cache.cache().invalidate(&repaired);
    assert_eq!(cache.get().await.unwrap().access_key_id(), "AKIAROTATEDKEY");
}

#[tokio::test]
async fn requests_are_unsigned_only_if_nothing_is_configured() {
    let aws = TestAws::start().await;
    let mut env = aws.long_term_env();
    env.retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
    env.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
    child_succeeds("identity::child_sends_unsigned_requests", env).await;
    // The S3 server rejects unsigned requests with this code.
    assert_eq!(aws.s3().counts().rejected("AccessDenied"), 1);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_sends_unsigned_requests() {
    let cache = AwsTokenCache::from_env().await;
    assert!(is_no_credentials(&cache.get().await.unwrap_err()));
    let builder = || AmazonS3Builder::new().with_bucket_name(BUCKET);
    let anonymous = cache.configure_or_anonymous(builder()).await.unwrap().build().unwrap();
    let error = anonymous.get(&Path::from("object")).await.unwrap_err();
    assert_contains(&error.to_string(), &["AccessDenied"]);
    assert!(store(&cache).get(&Path::from("object")).await.is_err());
    // Without credentials no role can be assumed.
    let role = cache.assume_role(&AssumeRole::new("arn:aws:iam::123456789012:role/reader")).await;
    assert!(role.configure_or_anonymous(builder()).await.is_err());
}

#[tokio::test]
async fn a_failing_issuer_makes_no_request_anonymous() {
    let cases =
        [Fault::Status(500), Fault::Status(403), Fault::Garbage, Fault::Down, Fault::Hang].map(|fault| async move {
            let aws = TestAws::start().await;
            aws.issuer().fail(fault);
            let child = "identity::child_does_not_become_anonymous";
            tokio::join!(child_succeeds(child, aws.imds_env()), child_succeeds(child, aws.container_env()));
            assert_eq!(aws.s3().counts().requests, 0, "{fault:?}");
        });
    // Concurrently, because the SDK retries each of them after a backoff.
    join_all(cases).await;
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_does_not_become_anonymous() {
    let cache = AwsTokenCache::from_env().await;
    let error = cache.configure_or_anonymous(AmazonS3Builder::new().with_bucket_name(BUCKET)).await.unwrap_err();
    assert!(!is_no_credentials(&error), "{error}");
}

#[tokio::test]
async fn one_hundred_registry_lookups_of_a_role_cost_one_call() {
    let aws = TestAws::start().await;
    child_succeeds("identity::child_uses_the_registry", aws.long_term_env()).await;
    assert_eq!(aws.issuer().counts().assume_role, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of the test above"]
async fn child_uses_the_registry() {
    let role = |name: &str| AssumeRole::new(format!("arn:aws:iam::123456789012:role/{name}"));
    let hub = IdentitySpec::from_env().assume_role(role("hub"));
    let (one, other) = (hub.clone().assume_role(role("one")), hub.clone().assume_role(role("other")));
    let one_again = one.clone();
    let tokens = concurrently(100, move |n| {
        let identity = if n % 2 == 0 { one.clone() } else { other.clone() };
        Box::pin(async move {
            let cache = Registry::process().get(&identity).await.unwrap();
            (cache.get().await.unwrap(), cache)
        })
    });
    let tokens = tokens.await;
    assert!((2..100).all(|n| Arc::ptr_eq(&tokens[n].0, &tokens[n - 2].0)));
    assert!(!Arc::ptr_eq(&tokens[0].0, &tokens[1].0));
    // The role in between is registered too.
    let (hub, registered) = (Registry::process().get(&hub).await.unwrap(), Registry::process().len());
    assert!(hub.cache().peek().is_some());
    // The two roles, the role in between, and the environment.
    assert_eq!(registered, 4);
    drop((hub, tokens));
    for _ in 0..10 {
        // Nobody holds the cache in between.
        Registry::process().get(&one_again).await.unwrap().get().await.unwrap();
    }
}

/// What a profile file needs that is not there.
async fn profile_error(profile: &str, more: &[(&'static str, &str)]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, profile).unwrap();
    let config = [("AWS_CONFIG_FILE", file.path().to_str().unwrap()), ("AWS_EC2_METADATA_DISABLED", "true")];
    error_with(config.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect()).await
}

/// The SDK sends the request without a code, and STS only says that access is denied.
#[tokio::test]
async fn a_profile_with_an_mfa_device_names_it() {
    let profile = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nregion = us-east-1\n\
                   mfa_serial = arn:aws:iam::123456789012:mfa/alice\n\
                   [profile base]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret\n";
    let aws = TestAws::start().await;
    aws.issuer().fail(Fault::Status(403));
    let error = profile_error(profile, &[("AWS_ENDPOINT_URL_STS", &aws.issuer().sts_endpoint())]).await;
    let parts =
        ["AccessDenied", "the profile \"default\"", "mfa_serial", "`AssumeRole::mfa`", "aws sts get-session-token"];
    assert_contains(&error, &parts);
}

#[tokio::test]
async fn a_missing_region_says_where_to_set_it() {
    let profile = "[default]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n\
                   [profile base]\naws_access_key_id = key\naws_secret_access_key = secret\n";
    let error = profile_error(profile, &[]).await;
    assert_contains(&error, &["STS could not be asked", "set AWS_REGION, or region in the profile"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_missing_shell_is_named() {
    let error = profile_error("[default]\ncredential_process = get-credentials\n", &[("PATH", "/nonexistent")]).await;
    assert_contains(&error, &["the credential_process has failed", "the shell `sh`", "PATH"]);
}
