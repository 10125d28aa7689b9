//! The SSO portal, and sessions of another issuer.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use token_cache_testing::aws::AccessKey;

use crate::common::*;

#[tokio::test]
async fn the_portal_returns_a_session_for_the_access_token() {
    let aws = start().await;
    let (status, body) = get(&aws, Some(aws.issuer().sso_token()), "?account_id=123456789012&role_name=reader").await;
    assert_eq!(status, 200);
    let session = &serde_json::from_slice::<Value>(&body).unwrap()["roleCredentials"];
    let expires = UNIX_EPOCH + Duration::from_millis(session["expiration"].as_u64().unwrap());
    assert_eq!(expires, aws.clock.after(HOUR));
    assert!(session["accessKeyId"].as_str().unwrap().starts_with("ASIA"));
    let counts = aws.issuer().counts();
    assert_eq!((counts.sso, counts.sessions, counts.credential_requests()), (1, 1, 1));
}

#[tokio::test]
async fn the_portal_rejects_another_token_and_an_incomplete_query() {
    let aws = start().await;
    let complete = "?account_id=123456789012&role_name=reader";
    let right = Some(aws.issuer().sso_token());
    for (token, query, status) in
        [(None, complete, 401), (Some("wrong"), complete, 401), (right, "?role_name=reader", 400)]
    {
        assert_eq!(get(&aws, token, query).await.0, status, "{query}");
    }
    assert_eq!(aws.issuer().counts().sessions, 0);
}

#[tokio::test]
async fn sessions_of_another_issuer_are_returned_unchanged() {
    let aws = start().await;
    aws.issuer().with_session_provider(|| async {
        let key =
            AccessKey::foreign("ASIAX".into(), "secret".into(), "token".into(), UNIX_EPOCH + Duration::from_secs(4));
        Some(key)
    });
    let body = aws.http.get(aws.issuer().container_uri()).send().await.unwrap().bytes().await.unwrap();
    let session: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&session["AccessKeyId"], &session["Expiration"]),
        (&"ASIAX".into(), &"1970-01-01T00:00:04.000Z".into())
    );
    assert_eq!(aws.issuer().counts().sessions, 1);

    aws.issuer().with_session_provider(|| async { None });
    assert_eq!(aws.http.get(aws.issuer().container_uri()).send().await.unwrap().status(), 502);
    assert_eq!((aws.issuer().counts().sessions, aws.issuer().counts().container), (1, 2));
}

async fn get(aws: &TestAws, token: Option<&str>, query: &str) -> (u16, Vec<u8>) {
    let mut request = aws.http.get(format!("{}/federation/credentials{query}", aws.issuer().sso_endpoint()));
    if let Some(token) = token {
        request = request.header("x-amz-sso_bearer_token", token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}
