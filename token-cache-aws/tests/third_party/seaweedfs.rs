//! SeaweedFS: web identity. SeaweedFS checks the signature, the audience and the expiry of the token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::base64;
use object_store::aws::AwsCredential;
use serde_json::{Value, json};
use token_cache_testing::aws::AccessKey;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::files::{Home, openssl_dgst};
use crate::load::BUCKET;
use crate::wire::{query, send, serve, session};
use crate::{SECOND, chain, setting};

/// The lifetime of a session: `tokenDuration` in seaweedfs-iam.json.
pub(crate) const LIFETIME: Duration = Duration::from_secs(8);

pub(crate) fn endpoint() -> String {
    setting("TOKEN_CACHE_SEAWEEDFS")
}

/// Creates the bucket and starts the issuer of tokens. The guard gives a test exclusive use of the server, so that it can
/// count the requests.
pub(crate) async fn bucket() -> MutexGuard<'static, ()> {
    static READY: OnceCell<()> = OnceCell::const_new();
    static EXCLUSIVE: Mutex<()> = Mutex::const_new(());
    let exclusive = EXCLUSIVE.lock().await;
    READY
        .get_or_init(|| async {
            serve(ISSUER, jwks()).await;
            let admin = AwsCredential { key_id: "admin".into(), secret_key: "adminsecret".into(), token: None };
            let request = http::Request::put(format!("{}/{BUCKET}", endpoint())).body(Vec::new()).unwrap();
            send(request, Some((&admin, "s3"))).await;
        })
        .await;
    exclusive
}

/// A new session, for a token with a lifetime of one minute.
pub(crate) async fn mint(key: String) -> AccessKey {
    let token = token(&key, 60 * SECOND);
    let parameters = [("RoleArn", ROLE), ("RoleSessionName", "early"), ("WebIdentityToken", &*token)];
    session(&query(&endpoint(), "sts", "AssumeRoleWithWebIdentity", &parameters, None).await)
}

#[tokio::test]
#[ignore = "needs SeaweedFS: tests/third_party/servers"]
async fn a_rotated_web_identity_token_is_read_again() {
    let _exclusive = bucket().await;
    let (key, home) = (setting("TOKEN_CACHE_OIDC_KEY"), Home::new());
    // The first token has expired by the last rotation, which is at least 8 s later.
    let write = || home.write("token", &token(&key, 8 * SECOND));
    let file = write();
    let rotate = async {
        loop {
            tokio::time::sleep(SECOND).await;
            write();
        }
    };
    let before = calls().await;
    let (endpoint, file) = (endpoint(), file.to_str().unwrap().to_owned());
    let env = [
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ROLE_SESSION_NAME", "load"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*file),
        ("AWS_ENDPOINT_URL_STS", &*endpoint),
        ("AWS_ENDPOINT_URL_S3", &*endpoint),
    ];
    let outcome = tokio::select! {
        outcome = chain::run_child(home.path(), &env) => outcome,
        never = rotate => never,
    };
    assert_eq!(calls().await - before, outcome.rotations + 1, "{outcome:?}");
    println!("web identity: {outcome:?}");
}

/// The number of requests to STS in the server's metrics.
async fn calls() -> u64 {
    let request = http::Request::get(setting("TOKEN_CACHE_SEAWEEDFS_METRICS")).body(Vec::new()).unwrap();
    let metrics = send(request, None).await;
    let of_sts = metrics.lines().filter(|line| line.starts_with("SeaweedFS_s3_request_total") && line.contains("STS"));
    of_sts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

/// A JWT that expires after `lifetime`.
fn token(key: &str, lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let header = json!({ "alg": "RS256", "kid": "test", "typ": "JWT" });
    let claims = json!({
        "iss": format!("http://{ISSUER}"), "sub": "pod", "aud": "sts.amazonaws.com",
        "iat": now.as_secs(), "exp": (now + lifetime).as_secs()
    });
    let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = openssl_dgst(&["-sha256", "-sign", key], &text);
    format!("{text}.{}", encode(&signature))
}

/// The public key for the tokens, as a JSON Web Key Set.
fn jwks() -> String {
    let key = setting("TOKEN_CACHE_OIDC_KEY");
    let output =
        std::process::Command::new("openssl").args(["rsa", "-in", &key, "-noout", "-modulus"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let hex = text.trim().strip_prefix("Modulus=").unwrap().to_owned();
    let modulus =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect::<Vec<_>>();
    let keys: Value = json!({
        "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "test", "n": encode(&modulus), "e": "AQAB" }]
    });
    keys.to_string()
}

fn encode(bytes: &[u8]) -> String {
    base64::encode(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// The address of the issuer in seaweedfs-iam.json.
const ISSUER: &str = "127.0.0.1:4999";

const ROLE: &str = "arn:aws:iam::role/loader";
