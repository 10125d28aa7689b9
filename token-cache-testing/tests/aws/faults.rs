//! What can be wrong with the issuer.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::common::*;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use token_cache_testing::aws::{FakeAws, Fault, OutageState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(150);

#[tokio::test]
async fn an_issuer_that_is_down_closes_connections_and_counts_what_came() {
    let aws = kit(Duration::from_secs(60)).await;
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
async fn connections_that_are_open_are_closed_when_the_issuer_goes_down() {
    let aws = kit(Duration::from_secs(60)).await;
    let mut connection = connect(&aws).await;
    ask(&mut connection).await;
    let mut answer = [0; 4096];
    assert_ne!(connection.read(&mut answer).await.unwrap(), 0);
    aws.issuer().fail(Fault::Down);
    assert_closed(&mut connection).await;
}

#[tokio::test]
async fn an_outage_closes_the_connection_that_it_begins_with_and_all_others() {
    let aws = kit(Duration::from_secs(60)).await;
    let (mut first, mut second) = (connect(&aws).await, connect(&aws).await);
    for connection in [&mut first, &mut second] {
        ask(connection).await;
        let mut answer = [0; 4096];
        assert_ne!(connection.read(&mut answer).await.unwrap(), 0);
    }
    aws.issuer().outage_at_next_request(Fault::Down, Duration::from_secs(60));
    ask(&mut first).await;
    assert_closed(&mut first).await;
    assert_closed(&mut second).await;
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered), (3, 2));
}

#[tokio::test]
async fn an_issuer_that_hangs_never_answers() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().fail(Fault::Hang);
    let uri = aws.issuer().container_uri();
    let mut hanging = Box::pin(reqwest::get(&uri));
    assert!(timeout(SOON, &mut hanging).await.is_err());
    aws.issuer().clear_fault();
    assert!(timeout(SOON, &mut hanging).await.is_err(), "nor when it is mended");
    assert_eq!(get(&aws).await.unwrap().status(), 200);
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered), (2, 1));
}

#[tokio::test]
async fn garbage_is_ok_and_no_credentials() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().fail(Fault::Garbage);
    let response = get(&aws).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().starts_with("<html>"));
    assert_eq!(aws.issuer().counts().answered, 0);
}

#[tokio::test]
async fn a_status_is_answered_as_it_was_told() {
    let aws = kit(Duration::from_secs(60)).await;
    for (told, status) in [(503, 503), (429, 429), (404, 404), (100, 500), (0, 500), (60_000, 500)] {
        aws.issuer().fail(Fault::Status(told));
        assert_eq!(get(&aws).await.unwrap().status(), status);
    }
    assert_eq!(aws.issuer().counts().answered, 0);
}

#[tokio::test]
async fn an_expired_session_looks_well_and_is_refused_by_s3() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().fail(Fault::Expired);
    let response = get(&aws).await.unwrap();
    assert_eq!(response.status(), 200);
    let json: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "Token"].map(|name| json[name].as_str().unwrap());
    let store = store(&aws, id, secret, Some(token));
    assert_eq!(refusal(&store).await, (400, "ExpiredToken".into()));
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (1, 0, 0));
}

#[tokio::test]
async fn every_protocol_fails_alike() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().fail(Fault::Status(503));
    let imds = format!("{}/latest/api/token", aws.issuer().imds_endpoint());
    assert_eq!(reqwest::Client::new().put(imds).send().await.unwrap().status(), 503);
    assert_eq!(get(&aws).await.unwrap().status(), 503);
    let text = assume(&aws).await;
    assert!(text.contains("StatusCode(503)") && text.contains("ServiceUnavailable"), "{text}");

    aws.issuer().fail(Fault::Expired);
    let text = assume(&aws).await;
    assert!(text.contains("AssumeRoleOutput"), "{text}");
    assert_eq!(aws.issuer().counts().answered, 0);

    aws.issuer().fail(Fault::Garbage);
    assert!(assume(&aws).await.contains("StatusCode(200)"));
    aws.issuer().fail(Fault::Down);
    assert!(assume(&aws).await.contains("DispatchFailure"));
    assert_eq!(aws.issuer().counts().assume_role, 4);
}

#[tokio::test]
async fn an_outage_begins_with_the_next_request_and_mends_by_itself() {
    let aws = kit(Duration::from_secs(60)).await;
    let lasts = Duration::from_millis(400);
    assert_eq!(aws.issuer().outage(), OutageState::None);
    aws.issuer().outage_at_next_request(Fault::Status(500), lasts);
    tokio::time::sleep(SOON).await;
    assert_eq!(aws.issuer().outage(), OutageState::Armed);
    let elsewhere = format!("{}/elsewhere", aws.issuer().imds_endpoint());
    assert_eq!(reqwest::get(elsewhere).await.unwrap().status(), 404);
    assert_eq!(aws.issuer().outage(), OutageState::Armed);

    let before = Instant::now();
    assert_eq!(get(&aws).await.unwrap().status(), 500);
    let OutageState::Running { since, lasts: all } = aws.issuer().outage() else {
        panic!("{:?}", aws.issuer().outage());
    };
    assert!(since >= before && all == lasts);
    assert_eq!(get(&aws).await.unwrap().status(), 500);

    tokio::time::sleep_until((since + lasts).into()).await;
    assert_eq!(get(&aws).await.unwrap().status(), 200);
    assert_eq!(aws.issuer().outage(), OutageState::Over { since, lasted: lasts });
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered), (3, 1));
}

#[tokio::test]
async fn a_request_that_waits_out_a_delay_meets_the_fault_of_either_end() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().set_delay(SOON);
    let uri = aws.issuer().container_uri();
    let request = tokio::spawn(reqwest::get(uri.clone()));
    while aws.issuer().counts().container == 0 {
        tokio::task::yield_now().await;
    }
    aws.issuer().fail(Fault::Status(500));
    assert_eq!(request.await.unwrap().unwrap().status(), 500, "it came up while it waited");

    let request = tokio::spawn(reqwest::get(uri));
    while aws.issuer().counts().container == 1 {
        tokio::task::yield_now().await;
    }
    aws.issuer().clear_fault();
    assert_eq!(request.await.unwrap().unwrap().status(), 500, "it was mended while it waited");
}

async fn get(aws: &FakeAws) -> reqwest::Result<reqwest::Response> {
    reqwest::get(aws.issuer().container_uri()).await
}

/// What comes of assuming a role, in words.
async fn assume(aws: &FakeAws) -> String {
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

async fn connect(aws: &FakeAws) -> TcpStream {
    let endpoint = aws.issuer().imds_endpoint();
    TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).await.unwrap()
}

async fn ask(connection: &mut TcpStream) {
    let request = b"GET /container HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    connection.write_all(request).await.unwrap();
}

async fn assert_closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    match timeout(Duration::from_secs(5), connection.read_to_end(&mut rest)).await.unwrap() {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
