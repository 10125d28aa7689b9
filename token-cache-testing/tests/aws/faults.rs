//! Faults of the issuer.

use std::io::ErrorKind;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use token_cache_testing::aws::{Fault, OutageState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::*;

#[tokio::test]
async fn down_closes_connections_and_counts_requests() {
    let aws = start().await;
    aws.issuer().fail(Fault::Down);
    for _ in 0..3 {
        assert!(get(&aws).await.is_err());
    }
    aws.issuer().clear_fault();
    assert_eq!(get(&aws).await.unwrap().status(), 200);
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (4, 1, 1));
}

#[tokio::test]
async fn down_closes_open_connections() {
    let aws = start().await;
    let mut connection = connect(&aws).await;
    send_request(&mut connection).await;
    assert_answered(&mut connection).await;
    aws.issuer().fail(Fault::Down);
    assert_closed(&mut connection).await;
}

#[tokio::test]
async fn an_outage_closes_all_connections_when_it_begins() {
    let aws = start().await;
    let (mut first, mut second) = (connect(&aws).await, connect(&aws).await);
    for connection in [&mut first, &mut second] {
        send_request(connection).await;
        assert_answered(connection).await;
    }
    aws.issuer().outage_at_next_request(Fault::Down, HOUR);
    send_request(&mut first).await;
    assert_closed(&mut first).await;
    assert_closed(&mut second).await;
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered), (3, 2));
}

#[tokio::test]
async fn a_hanging_request_is_never_answered() {
    let aws = start().await;
    aws.issuer().fail(Fault::Hang);
    let hanging = tokio::spawn(aws.http.get(aws.issuer().container_uri()).send());
    wait_until(|| aws.issuer().counts().container == 1).await;
    aws.clock.advance(HOUR);
    aws.issuer().clear_fault();
    // The server has one thread, so an answer to the first request would precede this one.
    assert_eq!(get(&aws).await.unwrap().status(), 200);
    assert!(!hanging.is_finished());
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered), (2, 1));
}

#[tokio::test]
async fn garbage_is_a_success_without_credentials() {
    let aws = start().await;
    aws.issuer().fail(Fault::Garbage);
    let response = get(&aws).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().starts_with("<html>"));
    assert_eq!(aws.issuer().counts().answered, 0);
}

#[tokio::test]
async fn a_status_outside_200_to_599_becomes_500() {
    let aws = start().await;
    for (set, answered) in [(503, 503), (429, 429), (404, 404), (100, 500), (0, 500), (60_000, 500)] {
        aws.issuer().fail(Fault::Status(set));
        assert_eq!(get(&aws).await.unwrap().status(), answered);
    }
    assert_eq!(aws.issuer().counts().answered, 0);
}

#[tokio::test]
async fn an_expired_session_is_a_success_that_s3_rejects() {
    let aws = start().await;
    aws.issuer().fail(Fault::Expired);
    let response = get(&aws).await.unwrap();
    assert_eq!(response.status(), 200);
    let json: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "Token"].map(|name| json[name].as_str().unwrap());
    let store = store(&aws, id, secret, Some(token));
    assert_eq!(rejection(&store).await, (400, "ExpiredToken".into()));
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (1, 0, 0));
}

#[tokio::test]
async fn a_fault_is_the_same_for_every_protocol() {
    let aws = start().await;
    aws.issuer().fail(Fault::Status(503));
    let imds = format!("{}/latest/api/token", aws.issuer().imds_endpoint());
    assert_eq!(aws.http.put(imds).send().await.unwrap().status(), 503);
    assert_eq!(get(&aws).await.unwrap().status(), 503);
    let text = assume_role(&aws).await;
    assert!(text.contains("StatusCode(503)") && text.contains("ServiceUnavailable"), "{text}");

    aws.issuer().fail(Fault::Expired);
    let text = assume_role(&aws).await;
    assert!(text.contains("AssumeRoleOutput"), "{text}");
    assert_eq!(aws.issuer().counts().answered, 0);

    aws.issuer().fail(Fault::Garbage);
    assert!(assume_role(&aws).await.contains("StatusCode(200)"));
    aws.issuer().fail(Fault::Down);
    assert!(assume_role(&aws).await.contains("DispatchFailure"));
    assert_eq!(aws.issuer().counts().assume_role, 4);
}

#[tokio::test]
async fn an_outage_begins_with_a_request_and_ends_by_itself() {
    let aws = start().await;
    assert_eq!(aws.issuer().outage(), OutageState::None);
    aws.issuer().outage_at_next_request(Fault::Status(500), 10 * SECOND);
    aws.clock.advance(HOUR);
    assert_eq!(aws.issuer().outage(), OutageState::Armed);
    let elsewhere = format!("{}/elsewhere", aws.issuer().imds_endpoint());
    assert_eq!(aws.http.get(elsewhere).send().await.unwrap().status(), 404);
    assert_eq!(aws.issuer().outage(), OutageState::Armed);

    assert_eq!(get(&aws).await.unwrap().status(), 500);
    let OutageState::Running { since, duration } = aws.issuer().outage() else {
        panic!("{:?}", aws.issuer().outage());
    };
    assert_eq!((since.wall(), duration), (aws.clock.wall(), 10 * SECOND));
    aws.clock.advance(9 * SECOND);
    assert_eq!(get(&aws).await.unwrap().status(), 500);

    aws.clock.advance(SECOND);
    assert_eq!(get(&aws).await.unwrap().status(), 200);
    assert_eq!(aws.issuer().outage(), OutageState::Over { since, duration });
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered), (3, 1));
}

#[tokio::test]
async fn a_delayed_request_meets_a_fault_before_and_after_the_delay() {
    let aws = start().await;
    aws.issuer().set_delay(SECOND);
    let uri = aws.issuer().container_uri();
    let request = tokio::spawn(aws.http.get(uri.clone()).send());
    wait_until(|| aws.issuer().counts().container == 1).await;
    aws.issuer().fail(Fault::Status(500));
    aws.clock.advance(SECOND);
    assert_eq!(request.await.unwrap().unwrap().status(), 500, "the fault was set during the delay");

    let request = tokio::spawn(aws.http.get(uri).send());
    wait_until(|| aws.issuer().counts().container == 2).await;
    aws.issuer().clear_fault();
    aws.clock.advance(SECOND);
    assert_eq!(request.await.unwrap().unwrap().status(), 500, "the fault was cleared during the delay");
}

async fn get(aws: &TestAws) -> reqwest::Result<reqwest::Response> {
    aws.http.get(aws.issuer().container_uri()).send().await
}

/// The result of `AssumeRole`, as printed by `Debug`.
async fn assume_role(aws: &TestAws) -> String {
    let key = aws.long_term_key();
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(aws.issuer().sts_endpoint())
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    let client = aws_sdk_sts::Client::new(&config);
    let request = client.assume_role().role_arn("arn:aws:iam::123456789012:role/reader");
    format!("{:?}", request.role_session_name("test").send().await)
}

async fn connect(aws: &TestAws) -> TcpStream {
    let endpoint = aws.issuer().imds_endpoint();
    TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).await.unwrap()
}

async fn send_request(connection: &mut TcpStream) {
    let request = b"GET /container HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    connection.write_all(request).await.unwrap();
}

async fn assert_answered(connection: &mut TcpStream) {
    let mut answer = [0; 4096];
    assert_ne!(connection.read(&mut answer).await.unwrap(), 0);
}

async fn assert_closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    match connection.read_to_end(&mut rest).await {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
