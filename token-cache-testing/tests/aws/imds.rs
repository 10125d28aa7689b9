//! The instance metadata service.

use aws_config::imds::Client;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use reqwest::{Method, StatusCode};
use token_cache_core::{Clock, SystemClock};
use token_cache_testing::aws::{FakeAws, Fault};

use crate::common::*;

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn a_session_of_the_sdk_works_until_its_expiry() {
    let aws = start().await;
    let credentials = provider(&aws).provide_credentials().await.unwrap();
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let store = store(&aws, id, secret, credentials.session_token());
    assert_works_until(&aws, &store, credentials.expiry().unwrap()).await;
    let counts = aws.issuer().counts();
    assert_eq!((counts.imds_token, counts.imds_role, counts.imds_credentials), (1, 1, 1));
    assert_eq!((counts.credential_requests(), counts.answered, counts.sessions), (1, 1, 1));
}

#[tokio::test]
async fn the_sdk_extends_the_expiry_of_an_expired_session() {
    let aws = start().await;
    aws.issuer().fail(Fault::Expired);
    let credentials = provider(&aws).provide_credentials().await.unwrap();
    assert!(credentials.expiry().unwrap() > SystemClock::new().now().wall());
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let store = store(&aws, id, secret, credentials.session_token());
    assert_eq!(rejection(&store).await, (400, "ExpiredToken".into()));
    let counts = aws.issuer().counts();
    assert_eq!((counts.credential_requests(), counts.answered, counts.sessions), (1, 0, 0));
}

#[tokio::test]
async fn the_sdk_gets_the_region() {
    let aws = start_with(FakeAws::builder().region("eu-central-1")).await;
    let provider =
        ImdsRegionProvider::builder().configure(&ProviderConfig::without_region()).imds_client(client(&aws)).build();
    assert_eq!(provider.region().await.unwrap().as_ref(), "eu-central-1");
}

#[tokio::test]
async fn a_token_needs_a_ttl_from_1_to_21600() {
    let aws = start().await;
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
async fn every_path_requires_a_valid_token() {
    let aws = start().await;
    let valid = token(&aws, Some("60")).await.text().await.unwrap();
    let expired = token(&aws, Some("1")).await.text().await.unwrap();
    aws.clock.advance(SECOND);
    let role = get(&aws, CREDENTIALS, Some(&valid)).await.1;
    for path in [
        CREDENTIALS,
        &format!("{CREDENTIALS}{role}"),
        "/latest/meta-data/placement/region",
        "/latest/meta-data/nothing",
    ] {
        assert_ne!(get(&aws, path, Some(&valid)).await.0, 401, "{path}");
        for token in [None, Some("wrong"), Some(expired.as_str())] {
            assert_eq!(get(&aws, path, token).await.0, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn an_unknown_path_gets_404_and_another_method_405() {
    let aws = start().await;
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
    assert_eq!(aws.http.post(url).send().await.unwrap().status(), 405);
}

fn client(aws: &TestAws) -> Client {
    Client::builder().endpoint(aws.issuer().imds_endpoint()).unwrap().max_attempts(1).build()
}

fn provider(aws: &TestAws) -> ImdsCredentialsProvider {
    ImdsCredentialsProvider::builder().imds_client(client(aws)).build()
}

async fn token(aws: &TestAws, ttl: Option<&str>) -> reqwest::Response {
    let url = format!("{}/latest/api/token", aws.issuer().imds_endpoint());
    let mut request = aws.http.request(Method::PUT, url);
    if let Some(ttl) = ttl {
        request = request.header("x-aws-ec2-metadata-token-ttl-seconds", ttl);
    }
    request.send().await.unwrap()
}

async fn get(aws: &TestAws, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let url = format!("{}{path}", aws.issuer().imds_endpoint());
    let mut request = aws.http.get(url);
    if let Some(token) = token {
        request = request.header("x-aws-ec2-metadata-token", token);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}
