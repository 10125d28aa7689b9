//! The container credentials endpoint.

use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::*;
use aws_config::ecs::EcsCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials;
use object_store::aws::AmazonS3;
use serde_json::Value;
use token_cache_testing::aws::FakeAws;

#[tokio::test]
async fn a_session_works_until_it_says_it_expires() {
    let aws = kit(Duration::from_millis(1200)).await;
    let json = get(&aws).await;
    assert!(json["RoleArn"].as_str().unwrap().starts_with("arn:aws:iam::"));
    works_until(&store_from(&aws, &json), expiration(&json)).await;
}

/// Reads its environment as a container would, so it must be a process.
#[tokio::test]
async fn the_sdk_takes_a_session_from_the_environment() {
    let aws = FakeAws::builder()
        .session_lifetime(Duration::from_secs(60))
        .container_authorization_token("the-token")
        .start()
        .await
        .unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "container::child_that_has_a_container_s_environment", "--ignored"]);
    child.envs(aws.container_env());
    let status = tokio::task::spawn_blocking(move || child.status().unwrap()).await.unwrap();
    assert!(status.success());
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (1, 1, 1));
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn child_that_has_a_container_s_environment() {
    let provider = EcsCredentialsProvider::builder().build();
    let credentials = provider.provide_credentials().await.unwrap();
    let left = credentials.expiry().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((50..=60).contains(&left.as_secs()), "{left:?}");
}

#[tokio::test]
async fn a_missing_authorization_token_gets_401_and_a_wrong_one_403() {
    let aws = FakeAws::builder().container_authorization_token("right").start().await.unwrap();
    let client = reqwest::Client::new();
    for (token, status) in [(None, 401), (Some("wrong"), 403), (Some("right"), 200)] {
        let mut request = client.get(aws.issuer().container_uri());
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{token:?}");
    }
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (3, 1, 1));
}

#[tokio::test]
async fn another_path_gets_404_and_another_method_405() {
    let aws = kit(Duration::from_secs(60)).await;
    let uri = aws.issuer().container_uri();
    assert_eq!(reqwest::get(format!("{uri}/more")).await.unwrap().status(), 404);
    assert_eq!(reqwest::Client::new().put(uri).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_session_has_its_whole_lifetime_when_it_leaves_after_a_delay() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().set_delay(Duration::from_millis(300));
    let asked = SystemTime::now();
    let json = get(&aws).await;
    let expiration = expiration(&json);
    // Less a millisecond, as an expiry is rounded down to one.
    assert!(expiration >= asked + Duration::from_millis(60_299));
}

#[tokio::test]
async fn a_lifetime_that_is_set_while_it_runs_holds_for_the_next_session() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().set_session_lifetime(Duration::from_secs(600));
    let left = expiration(&get(&aws).await).duration_since(SystemTime::now()).unwrap();
    assert!((590..=600).contains(&left.as_secs()), "{left:?}");
}

#[tokio::test]
async fn a_session_is_repeated_if_it_is_to_be() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().reuse_sessions(Some(Duration::from_secs(30)));
    let (first, second) = (get(&aws).await, get(&aws).await);
    assert_eq!(first, second);
    aws.issuer().reuse_sessions(Some(Duration::from_secs(60)));
    let third = get(&aws).await;
    assert_ne!(second["AccessKeyId"], third["AccessKeyId"]);
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (3, 3, 2));
    // What was given before stays good.
    works(&store_from(&aws, &first)).await;
}

async fn get(aws: &FakeAws) -> Value {
    let response = reqwest::get(aws.issuer().container_uri()).await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn store_from(aws: &FakeAws, json: &Value) -> AmazonS3 {
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "Token"].map(|name| {
        let value = json[name].as_str();
        value.unwrap()
    });
    store(aws, id, secret, Some(token))
}

fn expiration(json: &Value) -> SystemTime {
    humantime::parse_rfc3339(json["Expiration"].as_str().unwrap()).unwrap()
}
