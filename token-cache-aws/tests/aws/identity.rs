//! Who one is: never another than the one that is configured, and anonymous only where nobody is.

use super::chain::run;
use super::*;
use token_cache_aws::{AssumeRole, IdentitySpec, Registry, is_no_credentials};
use token_cache_core::ErrorKind;
use token_cache_testing::aws::Fault;

/// What a machine has that offers its role to everybody who asks.
fn on_a_machine(aws: &FakeAws, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut env = aws.imds_env();
    env.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    env
}

async fn error_of(env: Vec<(&'static str, String)>) -> String {
    let output = run("identity::child_prints_its_error", env).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.split_once("ERROR: "))
        .unwrap_or_else(|| panic!("no error in: {text}"))
        .1
        .to_owned()
}

#[tokio::test]
#[ignore = "the child of the tests below"]
async fn child_prints_its_error() {
    let cache = AwsTokenCache::from_env().await;
    let error = cache.get().await.unwrap_err();
    println!("\nERROR: {:?} {error}", error.kind());
}

#[tokio::test]
async fn half_a_key_is_an_error_and_not_the_machines_role() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    for (set, unset) in [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
    {
        let error = error_of(on_a_machine(&aws, &[(set, "AKIAONLYHALF")])).await;
        assert!(error.starts_with("Permanent") && error.contains(&format!("sets {set} but not {unset}")), "{error}");
        assert!(!error.contains("ONLYHALF"), "{error}");
    }
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
async fn a_profile_that_is_nowhere_is_an_error_and_not_the_machines_role() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let error = error_of(on_a_machine(&aws, &[("AWS_PROFILE", "analytics")])).await;
    for part in ["Permanent", "AWS_PROFILE", "\"analytics\"", "~/.aws/config", "AWS_CONFIG_FILE"] {
        assert!(error.contains(part), "no {part} in: {error}");
    }
}

#[tokio::test]
async fn half_of_web_identity_is_an_error_and_not_the_machines_role() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let error = error_of(on_a_machine(&aws, &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")])).await;
    assert!(error.starts_with("Permanent") && error.contains("but not AWS_ROLE_ARN"), "{error}");
    let error = error_of(on_a_machine(&aws, &[("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")])).await;
    assert!(error.starts_with("Permanent") && error.contains("but not AWS_WEB_IDENTITY_TOKEN_FILE"), "{error}");
}

#[tokio::test]
async fn a_token_file_that_is_missing_is_an_error_and_not_the_machines_role() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
    let error = error_of(on_a_machine(&aws, &[role, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")])).await;
    assert!(error.contains("No such file") || error.contains("not found"), "{error}");
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
async fn a_profile_by_name_is_that_profile_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::write(&config, "[profile empty]\nregion = eu-north-1\n").unwrap();
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let mut env = on_a_machine(&aws, &[("AWS_CONFIG_FILE", config.to_str().unwrap())]);
    env.extend(aws.long_term_env());
    env.retain(|(name, _)| *name != "AWS_REGION");
    let output = run("identity::child_asks_for_profiles", env).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_asks_for_profiles() {
    // The region is another matter: the machine's will do where no other is named.
    for (name, region) in [("empty", "eu-north-1"), ("nowhere", "us-east-1")] {
        let profile = AwsTokenCache::from_profile(name).await;
        let error = profile.get().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent);
        assert!(error.to_string().contains(&format!("the profile \"{name}\" has no credentials")), "{error}");
        assert!(!is_no_credentials(&error), "somebody has named it");
        assert_eq!(profile.region(), Some(region));
    }
}

#[tokio::test]
async fn a_profile_by_name_may_assume_its_role_with_another_profiles_keys() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
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
    let output = run("identity::child_acts_in_its_profiles_role", env).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((aws.issuer().counts().assume_role, aws.s3().counts().sessions), (1, 1));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_acts_in_its_profiles_role() {
    let cache = AwsTokenCache::from_profile("reader").await;
    round_trip(&store(&cache), "object").await.unwrap();
}

#[tokio::test]
async fn a_profile_that_is_mended_is_read_again() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("credentials");
    std::fs::write(&file, "[default\naws_access_key_id = broken\n").unwrap();
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let key = aws.long_term_key();
    let env = vec![
        ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap().to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("KEY", key.access_key_id().to_owned()),
        ("SECRET", key.secret_access_key().to_owned()),
    ];
    let output = run("identity::child_mends_its_profile", env).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_mends_its_profile() {
    let cache = AwsTokenCache::from_env().await;
    let first = cache.get().await.unwrap_err().to_string();
    tokio::time::sleep(SECOND * 11 / 10).await;
    // The same words again, where the SDK's own provider has forgotten them.
    assert_eq!(
        cache.cache().refresh().await.unwrap_err().to_string().split(" (next").next(),
        first.split(" (next").next()
    );

    let setting = |name| std::env::var(name).unwrap();
    let write = |key: &str| {
        let secret = setting("SECRET");
        let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
        std::fs::write(setting("AWS_SHARED_CREDENTIALS_FILE"), text).unwrap();
    };
    write(&setting("KEY"));
    let mended = loop {
        match cache.get().await {
            Ok(mended) => break mended,
            Err(error) => tokio::time::sleep(error.retry_after().unwrap()).await,
        }
    };
    assert_eq!(mended.access_key_id(), setting("KEY"));

    // Keys without an expiry are kept until they are rejected, and then they are looked up again.
    write("AKIAROTATEDBYHAND");
    assert_eq!(cache.get().await.unwrap().access_key_id(), setting("KEY"));
    cache.cache().invalidate(&mended);
    assert_eq!(cache.get().await.unwrap().access_key_id(), "AKIAROTATEDBYHAND");
}

#[tokio::test]
async fn where_nobody_is_configured_and_only_there_requests_go_unsigned() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let mut nobody = aws.long_term_env();
    nobody.retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
    nobody.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
    let output = run("identity::child_goes_unsigned", nobody).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // The kit lets nobody in without a signature: that there was none, is what it says.
    assert_eq!(aws.s3().counts().rejected("AccessDenied"), 1);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_goes_unsigned() {
    let cache = AwsTokenCache::from_env().await;
    assert!(is_no_credentials(&cache.get().await.unwrap_err()));
    let builder = cache.configure_or_anonymous(AmazonS3Builder::new().with_bucket_name(BUCKET)).await.unwrap();
    assert!(
        builder.build().unwrap().get(&Path::from("object")).await.unwrap_err().to_string().contains("AccessDenied")
    );
    assert!(
        cache
            .configure(AmazonS3Builder::new().with_bucket_name(BUCKET))
            .build()
            .unwrap()
            .get(&Path::from("object"))
            .await
            .is_err()
    );
    // A role over nobody is a role that cannot be assumed.
    let role = cache.assume_role(&AssumeRole::new("arn:aws:iam::123456789012:role/reader")).await;
    assert!(role.configure_or_anonymous(AmazonS3Builder::new().with_bucket_name(BUCKET)).await.is_err());
}

#[tokio::test]
async fn an_issuer_that_fails_makes_nobody_anonymous() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    for fault in [Fault::Status(500), Fault::Status(403), Fault::Garbage] {
        aws.issuer().fail(fault);
        for env in [aws.imds_env(), aws.container_env()] {
            let output = run("identity::child_stays_somebody", env).await;
            assert!(output.status.success(), "{fault:?}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
    assert_eq!(aws.s3().counts().requests, 0);
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_stays_somebody() {
    let cache = AwsTokenCache::from_env().await;
    let error = cache.configure_or_anonymous(AmazonS3Builder::new().with_bucket_name(BUCKET)).await.unwrap_err();
    assert!(!is_no_credentials(&error), "{error}");
}

#[tokio::test]
async fn a_hundred_who_ask_the_registry_for_one_role_cost_one_call() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let output = run("identity::child_asks_the_registry", aws.long_term_env()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(aws.issuer().counts().assume_role, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_asks_the_registry() {
    let role = |name: &str| AssumeRole::new(format!("arn:aws:iam::123456789012:role/{name}"));
    let hub = IdentitySpec::from_env().assume_role(role("hub"));
    let (one, other) = (hub.clone().assume_role(role("one")), hub.clone().assume_role(role("other")));
    let tokens = all(100, move |n| {
        let principal = if n % 2 == 0 { one.clone() } else { other.clone() };
        Box::pin(async move {
            let cache = Registry::process().get(&principal).await.unwrap();
            (cache.get().await.unwrap(), cache)
        })
    });
    let tokens = tokens.await;
    assert!((2..100).all(|n| Arc::ptr_eq(&tokens[n].0, &tokens[n - 2].0)));
    assert!(!Arc::ptr_eq(&tokens[0].0, &tokens[1].0));
    // The hub, through which both lead, is there for who asks for it.
    let (hub, held) = (Registry::process().get(&hub).await.unwrap(), Registry::process().len());
    assert!(hub.cache().peek().is_some());
    // The two roles, the hub, and the environment's own.
    assert_eq!(held, 4);
    drop((hub, tokens));
    assert!(Registry::process().is_empty());
}
