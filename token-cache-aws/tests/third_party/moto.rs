//! moto: sessions from a `credential_process`.

use std::path::Path;

use object_store::aws::AwsCredential;

use crate::files::Home;
use crate::load::BUCKET;
use crate::wire::{element, query, send};
use crate::{chain, setting};

/// moto does not enforce the expiry of sessions, so this only tests that they rotate.
#[tokio::test]
#[ignore = "needs moto: tests/third_party/servers"]
async fn credential_process_runs_once_per_rotation() {
    let (home, endpoint) = (Home::new(), setting("TOKEN_CACHE_MOTO"));
    let user = set_up(&endpoint).await;
    let (python, script) =
        (setting("TOKEN_CACHE_MOTO_PYTHON"), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/third_party/mint.py"));
    home.write(".aws/config", &format!("[profile minted]\ncredential_process = \"{python}\" \"{script}\"\n"));
    let before = calls();
    let env = [
        ("AWS_PROFILE", "minted"),
        ("AWS_ENDPOINT_URL_S3", &*endpoint),
        ("MINT_ENDPOINT", &*endpoint),
        ("MINT_KEY", &*user.key_id),
        ("MINT_SECRET", &*user.secret_key),
        ("MINT_ROLE", ROLE),
    ];
    let outcome = chain::run_child(home.path(), &env).await;
    assert_eq!(calls() - before, outcome.rotations as usize + 1, "{outcome:?}");
    println!("credential_process: {outcome:?}");
}

/// Creates a user, a role and a bucket. From then on moto checks signatures.
async fn set_up(endpoint: &str) -> AwsCredential {
    let admin = AwsCredential { key_id: "AKIAADMIN".into(), secret_key: "anything".into(), token: None };
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let iam = async |action: &str, parameters: &[(&str, &str)]| {
        query(endpoint, "iam", action, parameters, Some(&admin)).await
    };
    iam("CreateUser", &[("UserName", "minter")]).await;
    iam("PutUserPolicy", &[("UserName", "minter"), ("PolicyName", "all"), ("PolicyDocument", policy)]).await;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    iam("CreateRole", &[("RoleName", "minted"), ("AssumeRolePolicyDocument", trust)]).await;
    iam("PutRolePolicy", &[("RoleName", "minted"), ("PolicyName", "all"), ("PolicyDocument", policy)]).await;
    let key = iam("CreateAccessKey", &[("UserName", "minter")]).await;
    let (key_id, secret_key) = (element(&key, "AccessKeyId").to_owned(), element(&key, "SecretAccessKey").to_owned());
    let user = AwsCredential { key_id, secret_key, token: None };
    let bucket = http::Request::put(format!("{endpoint}/{BUCKET}")).body(Vec::new()).unwrap();
    send(bucket, Some((&user, "s3"))).await;
    let enable_checks = http::Request::post(format!("{endpoint}/moto-api/reset-auth")).body(b"0".to_vec()).unwrap();
    send(enable_checks, None).await;
    user
}

/// How many requests of the query protocol the server has logged. The requests of S3 have the bucket in their path.
fn calls() -> usize {
    let log = std::fs::read_to_string(Path::new(&setting("TOKEN_CACHE_MOTO_LOG"))).unwrap();
    log.lines().filter(|line| line.contains("POST / HTTP/1.1")).count()
}

const ROLE: &str = "arn:aws:iam::123456789012:role/minted";
