//! Every provider of the default chain, in a child process with only its environment.

use std::path::Path;
use std::sync::Arc;

use token_cache_aws::{AssumeRole, AwsTokenCache};
use token_cache_test_support::{ChildProcess, is_child, report};
use token_cache_testing::aws::FakeAws;

use crate::files::{Home, openssl_dgst};
use crate::load::{self, Outcome};
use crate::ministack::{self, Audit, LIFETIME, User};
use crate::{setting, wire};

/// Runs a load in a child with this environment.
pub(crate) async fn run_child(home: &Path, env: &[(&str, &str)]) -> Outcome {
    let child = ChildProcess::test("chain::child").env("HOME", home).env("AWS_REGION", "us-east-1");
    let output = child.envs(env.iter().copied()).run().await.assert_success();
    let (operations, rotations) = output.report().split_once(' ').unwrap();
    Outcome { operations: operations.parse().unwrap(), rotations: rotations.parse().unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of other tests"]
async fn child() {
    if !is_child() {
        return;
    }
    let mut aws = match std::env::var(PROFILE) {
        Ok(profile) => AwsTokenCache::from_profile(profile).await,
        Err(_) => AwsTokenCache::from_env().await,
    };
    if let Ok(role) = std::env::var(ROLE) {
        aws = aws.assume_role(&AssumeRole::new(role).session_name("load").duration(LIFETIME)).await;
    }
    let outcome = match std::env::var(ROTATE).as_deref() {
        Ok("never") => load::without_rotations(&aws).await,
        Ok("refresh") => load::through_refreshes(&aws).await,
        _ => load::through_rotations(&aws).await,
    };
    report(format!("{} {}", outcome.operations, outcome.rotations));
}

/// Container, IMDSv2 and SSO endpoints whose sessions come from ministack.
async fn issuer_for(name: &str, token: Option<&str>) -> (FakeAws, String) {
    let user = User::new(name).await;
    let role = user.role(name, None).await;
    let mut builder = FakeAws::builder();
    if let Some(token) = token {
        builder = builder.container_authorization_token(token);
    }
    let aws = builder.start().await.unwrap();
    let (user, arn) = (Arc::new(user), role.clone());
    aws.issuer().with_session_provider(move || {
        let (user, arn) = (Arc::clone(&user), arn.clone());
        async move { Some(ministack::mint(&user.key, &arn).await) }
    });
    (aws, role)
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn keys_of_the_environment_never_rotate() {
    let user = User::new("environment").await;
    let env = [
        ("AWS_ACCESS_KEY_ID", &*user.key.key_id),
        ("AWS_SECRET_ACCESS_KEY", &*user.key.secret_key),
        ("AWS_ENDPOINT_URL_S3", &ministack::endpoint()),
        (ROTATE, "never"),
    ];
    let outcome = run_child(Home::new().path(), &env).await;
    assert_eq!(outcome.rotations, 0);
    println!("environment: {outcome:?}");
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_role_over_keys_of_the_environment() {
    let (user, audit) = (User::new("environment-role").await, Audit::start());
    let role = user.role("environment-role", None).await;
    let env = [
        ("AWS_ACCESS_KEY_ID", &*user.key.key_id),
        ("AWS_SECRET_ACCESS_KEY", &*user.key.secret_key),
        ("AWS_ENDPOINT_URL", &ministack::endpoint()),
        (ROLE, &*role),
    ];
    let outcome = run_child(Home::new().path(), &env).await;
    assert_eq!(audit.calls(&role).await, outcome.rotations + 1, "{outcome:?}");
    println!("role over the environment: {outcome:?}");
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_role_over_the_keys_of_a_named_profile() {
    let (user, audit, home) = (User::new("profile").await, Audit::start(), Home::new());
    let role = user.role("profile", None).await;
    let keys = format!("aws_access_key_id = {}\naws_secret_access_key = {}", user.key.key_id, user.key.secret_key);
    home.write(".aws/credentials", &format!("[analytics]\n{keys}\n"));
    home.write(".aws/config", &format!("[profile analytics]\nendpoint_url = {}\n", ministack::endpoint()));
    // Another identity, which must not replace the profile.
    let env = [
        ("AWS_ACCESS_KEY_ID", "AKIAOTHER"),
        ("AWS_SECRET_ACCESS_KEY", "other"),
        (PROFILE, "analytics"),
        (ROLE, &*role),
    ];
    let outcome = run_child(home.path(), &env).await;
    assert_eq!(audit.calls(&role).await, outcome.rotations + 1, "{outcome:?}");
    println!("role over a profile: {outcome:?}");
}

/// The SDK reads no duration from a profile, so these sessions live for an hour.
#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_profile_with_a_role() {
    let (user, audit, home) = (User::new("profile-role").await, Audit::start(), Home::new());
    let role = user.role("profile-role", Some("tenant-7")).await;
    let keys = format!("aws_access_key_id = {}\naws_secret_access_key = {}", user.key.key_id, user.key.secret_key);
    home.write(
        ".aws/config",
        &format!(
            "[profile base]\n{keys}\n\n[profile reader]\nrole_arn = {role}\nsource_profile = base\nexternal_id = tenant-7\n\
             endpoint_url = {}\n",
            ministack::endpoint()
        ),
    );
    let outcome = run_child(home.path(), &[("AWS_PROFILE", "reader"), (ROTATE, "refresh")]).await;
    assert_eq!(audit.calls(&role).await, outcome.rotations + 1, "{outcome:?}");
    println!("profile with a role: {outcome:?}");
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_container_with_a_full_uri_and_a_token_file() {
    let (audit, home) = (Audit::start(), Home::new());
    let (aws, role) = issuer_for("pod", Some("the-token-of-the-pod")).await;
    let token = home.write("token", "the-token-of-the-pod");
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*aws.issuer().container_uri()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_S3", &ministack::endpoint()),
    ];
    let outcome = run_child(home.path(), &env).await;
    assert_eq!(
        (aws.issuer().counts().container, audit.calls(&role).await),
        (outcome.rotations + 1, outcome.rotations + 1)
    );
    println!("container, full URI: {outcome:?}");
}

#[tokio::test]
#[ignore = "needs ministack and the address of a container's endpoint: tests/third_party/servers"]
async fn a_container_with_a_relative_uri() {
    let audit = Audit::start();
    let (aws, role) = issuer_for("task", None).await;
    let uri = aws.issuer().container_uri();
    let (address, path) = uri.strip_prefix("http://").unwrap().split_once('/').unwrap();
    wire::forward(&setting("TOKEN_CACHE_CONTAINER_ADDRESS"), address.to_owned()).await;
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", &*format!("/{path}")),
        ("AWS_ENDPOINT_URL_S3", &ministack::endpoint()),
    ];
    let outcome = run_child(Home::new().path(), &env).await;
    assert_eq!(
        (aws.issuer().counts().container, audit.calls(&role).await),
        (outcome.rotations + 1, outcome.rotations + 1)
    );
    println!("container, relative URI: {outcome:?}");
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn the_instance_metadata_service() {
    let audit = Audit::start();
    let (aws, role) = issuer_for("instance", None).await;
    let env = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*aws.issuer().imds_endpoint()),
        ("AWS_ENDPOINT_URL_S3", &ministack::endpoint()),
    ];
    let outcome = run_child(Home::new().path(), &env).await;
    let calls = aws.issuer().counts().imds_credentials;
    assert_eq!((calls, audit.calls(&role).await), (outcome.rotations + 1, outcome.rotations + 1), "{outcome:?}");
    println!("IMDSv2: {outcome:?}");
}

/// Starts with the access token in a file. The login that writes it needs a browser and AWS's pages.
#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn sso_with_the_token_of_a_login() {
    let (audit, home) = (Audit::start(), Home::new());
    let (aws, role) = issuer_for("sso", None).await;
    let start = "https://corp.awsapps.com/start";
    home.write(
        ".aws/config",
        &format!(
            "[profile corp]\nsso_session = corp\nsso_account_id = 000000000000\nsso_role_name = sso\n\n\
             [sso-session corp]\nsso_region = us-east-1\nsso_start_url = {start}\n"
        ),
    );
    let token = serde_json::json!({
        "startUrl": start, "region": "us-east-1", "accessToken": aws.issuer().sso_token(), "expiresAt": "2999-01-01T00:00:00Z"
    });
    let hash = openssl_dgst(&["-sha1", "-binary"], "corp").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    home.write(&format!(".aws/sso/cache/{hash}.json"), &token.to_string());
    let env = [
        ("AWS_PROFILE", "corp"),
        ("AWS_ENDPOINT_URL_SSO", &*aws.issuer().sso_endpoint()),
        ("AWS_ENDPOINT_URL_S3", &ministack::endpoint()),
    ];
    let outcome = run_child(home.path(), &env).await;
    assert_eq!((aws.issuer().counts().sso, audit.calls(&role).await), (outcome.rotations + 1, outcome.rotations + 1));
    println!("SSO: {outcome:?}");
}

/// The profile that a child names in its code.
const PROFILE: &str = "TOKEN_CACHE_PROFILE";

/// The role that a child assumes over its credentials.
const ROLE: &str = "TOKEN_CACHE_ROLE";

/// `never` or `refresh`: how the credentials of a child rotate. By default they expire.
const ROTATE: &str = "TOKEN_CACHE_ROTATE";
