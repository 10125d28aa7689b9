//! The instance metadata service.

use std::time::{Duration, SystemTime};

use crate::common::*;
use aws_config::imds::Client;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use reqwest::{Method, StatusCode};
use token_cache_testing::aws::{FakeAws, Fault};

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn the_sdk_gets_a_session_that_works_until_it_says_it_expires() {
    let aws = kit(Duration::from_millis(1200)).await;
    let issued = SystemTime::now();
    let credentials = provider(&aws).provide_credentials().await.unwrap();
    let end = credentials.expiry().unwrap();
    // The SDK reads the milliseconds.
    assert!(end >= issued + Duration::from_millis(1199), "{:?}", end.duration_since(issued));
    assert!(end <= SystemTime::now() + Duration::from_millis(1200));
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    works_until(&store(&aws, id, secret, credentials.session_token()), end).await;
    let counts = aws.issuer().counts();
    assert_eq!((counts.imds_token, counts.imds_role, counts.imds_credentials), (1, 1, 1));
    assert_eq!((counts.credential_requests(), counts.answered, counts.sessions), (1, 1, 1));
}

#[tokio::test]
async fn the_sdk_takes_a_session_that_is_expired_for_alive() {
    let aws = kit(Duration::from_secs(60)).await;
    aws.issuer().fail(Fault::Expired);
    let credentials = provider(&aws).provide_credentials().await.unwrap();
    assert!(credentials.expiry().unwrap() > SystemTime::now(), "it extends the expiry itself");
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let store = store(&aws, id, secret, credentials.session_token());
    assert_eq!(refusal(&store).await, (400, "ExpiredToken".into()));
    let counts = aws.issuer().counts();
    assert_eq!((counts.credential_requests(), counts.answered, counts.sessions), (1, 0, 0));
}

#[tokio::test]
async fn the_sdk_is_told_the_region() {
    let aws = FakeAws::builder().region("eu-central-1").start().await.unwrap();
    let provider =
        ImdsRegionProvider::builder().configure(&ProviderConfig::without_region()).imds_client(client(&aws)).build();
    assert_eq!(provider.region().await.unwrap().as_ref(), "eu-central-1");
}

#[tokio::test]
async fn a_token_needs_a_ttl_from_1_to_21600() {
    let aws = kit(Duration::from_secs(60)).await;
    for (ttl, status) in [
        (None, 400),
        (Some("0"), 400),
        (Some("21601"), 400),
        (Some("six"), 400),
        (Some("-1"), 400),
        (Some("1"), 200),
        (Some("21600"), 200),
    ] {
        let response = token(&aws, ttl).await;
        assert_eq!(response.status(), status, "{ttl:?}");
        if status == 200 {
            let echo = response.headers().get("x-aws-ec2-metadata-token-ttl-seconds").unwrap();
            assert_eq!(echo.to_str().unwrap(), ttl.unwrap());
            assert!(response.text().await.unwrap().len() > 20);
        }
    }
    assert_eq!(aws.issuer().counts().imds_token, 7);
}

#[tokio::test]
async fn nothing_is_told_without_a_token_that_is_alive() {
    let aws = kit(Duration::from_secs(60)).await;
    let alive = token(&aws, Some("60")).await.text().await.unwrap();
    let ended = token(&aws, Some("1")).await.text().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1002)).await;
    let role = get(&aws, CREDENTIALS, Some(&alive)).await.1;
    for path in [
        CREDENTIALS,
        &format!("{CREDENTIALS}{role}"),
        "/latest/meta-data/placement/region",
        "/latest/meta-data/nothing",
    ] {
        assert_ne!(get(&aws, path, Some(&alive)).await.0, 401, "{path}");
        for token in [None, Some("wrong"), Some(ended.as_str())] {
            assert_eq!(get(&aws, path, token).await.0, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_gets_404_and_another_method_405() {
    let aws = kit(Duration::from_secs(60)).await;
    let token = token(&aws, Some("60")).await.text().await.unwrap();
    for path in [
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials/other-role",
        "/latest/meta-data/ami-id",
        "/elsewhere",
    ] {
        assert_eq!(get(&aws, path, Some(&token)).await.0, 404, "{path}");
    }
    assert_eq!(get(&aws, "/latest/api/token", Some(&token)).await.0, 405);
    let url = format!("{}{CREDENTIALS}", aws.issuer().imds_endpoint());
    assert_eq!(reqwest::Client::new().post(url).send().await.unwrap().status(), 405);
}

fn client(aws: &FakeAws) -> Client {
    Client::builder().endpoint(aws.issuer().imds_endpoint()).unwrap().max_attempts(1).build()
}

fn provider(aws: &FakeAws) -> ImdsCredentialsProvider {
    ImdsCredentialsProvider::builder().imds_client(client(aws)).build()
}

async fn token(aws: &FakeAws, ttl: Option<&str>) -> reqwest::Response {
    let url = format!("{}/latest/api/token", aws.issuer().imds_endpoint());
    let mut request = reqwest::Client::new().request(Method::PUT, url);
    if let Some(ttl) = ttl {
        request = request.header("x-aws-ec2-metadata-token-ttl-seconds", ttl);
    }
    request.send().await.unwrap()
}

async fn get(aws: &FakeAws, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let url = format!("{}{path}", aws.issuer().imds_endpoint());
    let mut request = reqwest::Client::new().get(url);
    if let Some(token) = token {
        request = request.header("x-aws-ec2-metadata-token", token);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}
