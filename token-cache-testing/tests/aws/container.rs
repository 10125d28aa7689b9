//! The container credentials endpoint.

use std::time::SystemTime;

use aws_config::ecs::EcsCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials;
use object_store::aws::AmazonS3;
use serde_json::Value;
use token_cache_test_support::{ChildProcess, report};
use token_cache_testing::aws::FakeAws;

use crate::common::*;

#[tokio::test]
async fn a_session_works_until_its_expiry() {
    let aws = start().await;
    let json = get(&aws).await;
    assert!(json["RoleArn"].as_str().unwrap().starts_with("arn:aws:iam::"));
    assert_works_until(&aws, &store_from(&aws, &json), expiration(&json)).await;
}

/// The SDK reads the environment of its process, so the test needs a child process.
#[tokio::test]
async fn the_sdk_gets_a_session_by_the_environment() {
    let builder = FakeAws::builder().session_lifetime(HOUR).container_authorization_token("the-token");
    let aws = start_with(builder).await;
    let output =
        ChildProcess::test("container::child_in_a_container_environment").envs(aws.container_env()).run().await;
    let expiry = humantime::format_rfc3339_millis(aws.clock.after(HOUR)).to_string();
    assert_eq!(output.assert_success().report(), expiry);
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (1, 1, 1));
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child_in_a_container_environment() {
    let provider = EcsCredentialsProvider::builder().build();
    let credentials = provider.provide_credentials().await.unwrap();
    report(humantime::format_rfc3339_millis(credentials.expiry().unwrap()));
}

#[tokio::test]
async fn a_missing_authorization_token_gets_401_and_a_wrong_one_403() {
    let aws = start_with(FakeAws::builder().container_authorization_token("right")).await;
    for (token, status) in [(None, 401), (Some("wrong"), 403), (Some("right"), 200)] {
        let mut request = aws.http.get(aws.issuer().container_uri());
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
    let aws = start().await;
    let uri = aws.issuer().container_uri();
    assert_eq!(aws.http.get(format!("{uri}/more")).send().await.unwrap().status(), 404);
    assert_eq!(aws.http.put(uri).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_delayed_session_is_sent_with_its_whole_lifetime() {
    let aws = start().await;
    aws.issuer().set_delay(10 * SECOND);
    let request = tokio::spawn(aws.http.get(aws.issuer().container_uri()).send());
    wait_until(|| aws.issuer().counts().container == 1).await;
    assert_eq!(aws.issuer().counts().sessions, 0);
    aws.clock.advance(10 * SECOND);
    let json = json(request.await.unwrap().unwrap()).await;
    assert_eq!(expiration(&json), aws.clock.after(HOUR));
}

#[tokio::test]
async fn a_changed_lifetime_applies_to_the_next_session() {
    let aws = start().await;
    aws.issuer().set_session_lifetime(2 * HOUR);
    assert_eq!(expiration(&get(&aws).await), aws.clock.after(2 * HOUR));
}

#[tokio::test]
async fn a_session_is_repeated_while_enough_of_it_is_left() {
    let aws = start().await;
    aws.issuer().reuse_sessions(Some(HOUR / 2));
    let (first, second) = (get(&aws).await, get(&aws).await);
    assert_eq!(first, second);
    aws.clock.advance(HOUR / 2);
    let third = get(&aws).await;
    assert_ne!(second["AccessKeyId"], third["AccessKeyId"]);
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (3, 3, 2));
    // The earlier session stays valid.
    assert_works(&store_from(&aws, &first)).await;
}

async fn get(aws: &TestAws) -> Value {
    json(aws.http.get(aws.issuer().container_uri()).send().await.unwrap()).await
}

async fn json(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn store_from(aws: &TestAws, json: &Value) -> AmazonS3 {
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "Token"].map(|name| {
        let value = json[name].as_str();
        value.unwrap()
    });
    store(aws, id, secret, Some(token))
}

fn expiration(json: &Value) -> SystemTime {
    humantime::parse_rfc3339(json["Expiration"].as_str().unwrap()).unwrap()
}
