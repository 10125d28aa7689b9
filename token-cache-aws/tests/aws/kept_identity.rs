//! A cache keeps the identity of its first credentials, whatever a later fetch finds.

use std::env;
use std::fs;
use std::path::PathBuf;

use token_cache_aws::{AwsTokenCache, is_no_credentials};
use token_cache_core::Error;
use token_cache_testing::VirtualClock;

use super::harness::*;

/// A machine with a role, and a home folder with this config file. Returns how often the role was asked for.
async fn run_with_home(child: &str, config: &str) -> u64 {
    let (aws, home) = (TestAws::start().await, tempfile::tempdir().unwrap());
    fs::create_dir(home.path().join(".aws")).unwrap();
    fs::write(home.path().join(".aws/config"), config_with_key(&aws, config)).unwrap();
    let mut env = aws.imds_env();
    env.push(("AWS_ENDPOINT_URL_STS", aws.issuer().sts_endpoint()));
    env.push(("HOME", home.path().to_str().unwrap().to_owned()));
    if config.contains("region") {
        env.retain(|(name, _)| *name != "AWS_REGION" && !name.starts_with("AWS_ENDPOINT_URL"));
    }
    child_succeeds(child, env).await;
    aws.issuer().counts().imds_credentials
}

fn config_with_key(aws: &TestAws, config: &str) -> String {
    let key = aws.long_term_key();
    config.replace("{id}", key.access_key_id()).replace("{secret}", key.secret_access_key())
}

/// The cache, and the file that it reads.
struct Rotation {
    aws: AwsTokenCache,
    clock: VirtualClock,
    file: PathBuf,
}

impl Rotation {
    async fn start() -> Self {
        let clock = VirtualClock::new();
        let cache_clock = clock.clone();
        // Settings cost no promise.
        let aws = AwsTokenCache::builder().cache(|cache| cache.clock(cache_clock)).load().await;
        let file = PathBuf::from(env::var_os("HOME").unwrap()).join(".aws/config");
        Self { aws, clock, file }
    }

    /// The result of the next fetch, with these contents of the file.
    async fn fetch(&self, contents: &str) -> Result<String, Error> {
        fs::write(&self.file, contents).unwrap();
        self.clock.advance(self.aws.cache().status().next_attempt);
        self.aws.cache().refresh().await.map(|credentials| credentials.access_key_id().to_owned())
    }
}

/// <https://github.com/aws/aws-sdk-go-v2/issues/2135>
#[tokio::test]
async fn an_emptied_file_never_leads_to_the_instance_role() {
    let role = "[default]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n\
                [profile base]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n";
    // Of the two files that name the instance's role. The cache has used neither.
    assert_eq!(run_with_home("kept_identity::child_empties_its_file", role).await, 2);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_empties_its_file() {
    let rotation = Rotation::start().await;
    let good = fs::read_to_string(&rotation.file).unwrap();
    let first = rotation.aws.get().await.unwrap();
    let others = [
        "".to_owned(),
        "[default]\nregion = us-east-1\n".to_owned(),
        "[profile base]\n".to_owned(),
        good.replace("role/reader", "role/writer"),
        good.replace("role_arn", "#").replace("source_profile = base", "credential_source = Ec2InstanceMetadata"),
        good.replace("source_profile = base", "credential_source = Ec2InstanceMetadata"),
        good[..good.len() / 2].to_owned(),
    ];
    for other in &others {
        let error = rotation.fetch(other).await.unwrap_err();
        println!("{error}");
        assert!(!is_no_credentials(&error), "{error}");
        assert_eq!(rotation.aws.get().await.unwrap().access_key_id(), first.access_key_id());
    }
    rotation.aws.cache().invalidate(&first);
    let error = rotation.fetch("").await.unwrap_err();
    assert_contains(
        &error.to_string(),
        &["the profile \"default\"", "instance metadata", "never changes its identity"],
    );
    assert!(!is_no_credentials(&error) && rotation.aws.cache().peek().is_none());
    assert_ne!(rotation.fetch(&good).await.unwrap(), first.access_key_id());
}

/// Stores have the region of the configuration that was there when the cache was created.
#[tokio::test]
async fn the_first_credentials_have_the_region_of_their_profile() {
    assert_eq!(run_with_home("kept_identity::child_changes_its_region", &profile("eu-north-1")).await, 0);
}

fn profile(region: &str) -> String {
    format!("[default]\nregion = {region}\naws_access_key_id = {{id}}\naws_secret_access_key = {{secret}}\n")
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_changes_its_region() {
    let rotation = Rotation::start().await;
    let first = fs::read_to_string(&rotation.file).unwrap();
    assert_eq!(rotation.aws.region(), Some("eu-north-1"));
    for other in [
        first.replace("eu-north-1", "us-west-2"),
        first.replace("[default]", "[default]\nendpoint_url = http://user:hunter2@127.0.0.1:1"),
        first.replace("[default]", "[default]\nuse_fips_endpoint = true"),
    ] {
        let error = rotation.fetch(&other).await.unwrap_err().to_string();
        assert_contains(&error, &["has changed since this cache was created", "create a new cache"]);
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(error.contains("was eu-north-1 and is us-west-2"), other.contains("us-west-2"), "{error}");
    }
    rotation.fetch(&first).await.unwrap();
    assert_eq!(rotation.aws.region(), Some("eu-north-1"));
    rotation.fetch(&first.replace("eu-north-1", "us-west-2")).await.unwrap();
    assert_eq!(rotation.aws.region(), Some("eu-north-1"), "the same keys, so nothing is mixed");
}

#[tokio::test]
async fn a_rotated_key_stays_in_its_account() {
    assert_eq!(run_with_home("kept_identity::child_rotates_its_key", "").await, 0);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_rotates_its_key() {
    let rotation = Rotation::start().await;
    let key = |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret\n");
    let (first, second) = (key_id(111_122_223_333, "AAAAAA"), key_id(111_122_223_333, "BBBBBB"));
    assert_eq!(rotation.fetch(&key(&first)).await.unwrap(), first);
    assert_eq!(rotation.fetch(&key(&second)).await.unwrap(), second);
    let error = rotation.fetch(&key(&key_id(444_455_556_666, "AAAAAA"))).await.unwrap_err().to_string();
    assert_contains(&error, &["111122223333", "444455556666", "never changes its identity"]);
    // Other issuers do not write the account into the id.
    assert_eq!(rotation.fetch(&key("minioadmin")).await.unwrap(), "minioadmin");
}

/// An id of a long-term key, which contains the account.
fn key_id(account: u64, rest: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = (1 << 49) | (account << 9);
    let digits = (0..10).rev().map(|digit| char::from(DIGITS[(bits >> (5 * digit)) as usize & 31]));
    format!("AKIA{}{rest}", digits.collect::<String>())
}

#[tokio::test]
async fn another_role_of_the_instance_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let env = vec![("HOME", home.path().to_str().unwrap().to_owned()), ("AWS_REGION", "us-east-1".to_owned())];
    child_succeeds("kept_identity::child_gets_another_role", env).await;
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_gets_another_role() {
    let machine = TestAws::start().await;
    let config = format!("[default]\nec2_metadata_service_endpoint = {}\n", machine.issuer().imds_endpoint());
    let rotation = Rotation::start().await;
    let first = rotation.fetch(&config).await.unwrap();
    machine.issuer().set_instance_role("admin");
    let error = rotation.fetch(&config).await.unwrap_err().to_string();
    assert_contains(&error, &["the instance metadata service", "role has changed", "never changes its identity"]);
    assert_eq!(rotation.aws.get().await.unwrap().access_key_id(), first);
    assert_eq!(machine.issuer().counts().imds_credentials, 1);
    machine.issuer().set_instance_role("test-role");
    assert_ne!(rotation.fetch(&config).await.unwrap(), first);
}

#[tokio::test]
async fn the_chain_of_other_settings_has_the_same_rules() {
    let aws = TestAws::start().await;
    let mut env = aws.imds_env();
    env.push(("AWS_ACCESS_KEY_ID", "AKIAONLYHALF".to_owned()));
    let error = child_report("kept_identity::child_sets_the_cache", env).await;
    assert_contains(&error, &["Permanent", "but not AWS_SECRET_ACCESS_KEY"]);
    assert_eq!(aws.issuer().counts().imds_credentials, 0);
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_sets_the_cache() {
    let aws = AwsTokenCache::builder().region("eu-north-1").cache(|cache| cache.name("hub")).load().await;
    assert_eq!(aws.region(), Some("eu-north-1"));
    assert!(format!("{aws:?}").contains("hub"), "{aws:?}");
    report_error(&aws.get().await.unwrap_err());
}
