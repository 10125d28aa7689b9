//! Both grants against an issuer on loopback: what it is sent, and what its answers mean.

#![allow(clippy::unwrap_used, reason = "tests")]

mod issuer;

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use token_cache_core::{Error, ErrorKind, TokenCache, TokenSource};
use token_cache_oauth2::{AccessToken, Client, ClientCredentials, ConfigError, FetchError, Refresh, TokenRequest};
use token_cache_test_support::TraceLog;

use crate::issuer::Issuer;

const CANARY: &str = "hunter2";

#[tokio::test]
async fn only_the_codes_of_a_wrong_configuration_are_permanent() {
    for (status, code, expected) in [
        (401, "invalid_client", ErrorKind::Permanent),
        (400, "invalid_grant", ErrorKind::Permanent),
        (400, "unauthorized_client", ErrorKind::Permanent),
        (400, "unsupported_grant_type", ErrorKind::Permanent),
        (400, "invalid_scope", ErrorKind::Permanent),
        // Some issuers report errors with status 200.
        (200, "invalid_grant", ErrorKind::Permanent),
        (400, "invalid_request", ErrorKind::Source),
        (400, "temporarily_unavailable", ErrorKind::Source),
        (400, "slow_down", ErrorKind::Source),
        (429, "invalid_client", ErrorKind::Source),
        (503, "invalid_grant", ErrorKind::Source),
    ] {
        let issuer = Issuer::answering(status, "", &format!(r#"{{"error":"{code}"}}"#)).await;
        let error = fetch(&issuer).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{status} {code}");
        assert_eq!(cause(&error).code(), Some(code), "{status}");
        assert!(error.to_string().contains(code) && error.to_string().contains(&status.to_string()), "{error}");
    }
}

/// Proxies answer with HTML, and with nothing.
#[tokio::test]
async fn a_body_without_json_shows_the_status_and_no_secret() {
    for status in [200, 302, 400, 403, 429, 502, 503] {
        for body in ["<html>hunter2</html>", "", "null", "[]", "\"hunter2\"", r#"{"access_token":"hunter2""#, "{}"] {
            let issuer = Issuer::answering(status, "location: http://127.0.0.1:9/hunter2\r\n", body).await;
            let error = fetch(&issuer).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Source);
            assert_eq!(cause(&error).status().unwrap().as_u16(), status);
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert_hides_canary(&error);
        }
    }
}

#[tokio::test]
async fn malformed_tokens_are_errors_without_the_token() {
    for body in [
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":"hunter2 hunter2","token_type":"Bearer"}"#,
        r#"{"access_token":"hunter2\n","token_type":"Bearer"}"#,
        r#"{"access_token":"hunter2","token_type":"DPoP"}"#,
        r#"{"access_token":"hunter2","expires_in":"soon"}"#,
        r#"{"access_token":"hunter2","expires_in":true}"#,
        r#"{"access_token":17}"#,
        r#"{"error":"hunter2","error_description":"hunter2"}"#,
        r#"{"error":{"message":"hunter2"}}"#,
    ] {
        let error = fetch(&Issuer::answering(200, "", body).await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{body}");
        assert_hides_canary(&error);
    }
}

/// Also by the HTTP client, while a token is fetched and while the issuer refuses.
#[tokio::test]
async fn p22_no_crate_logs_a_secret_at_trace() {
    let log = TraceLog::start();
    for (status, body) in [
        (200, r#"{"access_token":"CanaryAccess","refresh_token":"CanaryRefresh","expires_in":3600}"#),
        (400, r#"{"error":"invalid_grant","error_description":"CanaryText"}"#),
    ] {
        let issuer = Issuer::answering(status, "", body).await;
        let client = Client::new(&issuer.url, "id").unwrap().secret("CanarySecret");
        let cache = TokenCache::builder(ClientCredentials::new(client, TokenRequest::default())).build();
        assert_eq!(cache.get().await.is_ok(), status == 200);
        let issuer = Issuer::answering(status, "", body).await;
        let client = Client::new(&issuer.url, "id").unwrap().secret_in_body("CanarySecret");
        let cache = TokenCache::builder(Refresh::new(client, "CanaryOld")).build();
        assert_eq!(cache.get().await.is_ok(), status == 200);
    }
    let shown = log.crates_that_show(&["Canary"], &["TRACE", "token_cache_core"]);
    assert!(shown.is_empty(), "{shown:?}");
}

#[tokio::test]
async fn the_issuers_own_text_is_exposed_on_request() {
    let body = r#"{"error":"invalid_scope","error_description":"AADSTS70011: hunter2"}"#;
    let error = fetch(&Issuer::answering(400, "", body).await).await.unwrap_err();
    assert_hides_canary(&error);
    assert_eq!(cause(&error).expose_unredacted(), Some("invalid_scope: AADSTS70011: hunter2"));
}

#[tokio::test]
async fn retry_after_reaches_the_cache() {
    for (status, headers, seconds) in [
        (429, "retry-after: 3600\r\n", 3600),
        (503, "retry-after: 3600\r\n", 3600),
        (503, "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 08:28:00 GMT\r\n", 3600),
        (503, "retry-after: 99999999999999999999999999\r\n", 24 * 3600),
    ] {
        let error = fetch(&Issuer::answering(status, headers, "").await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        let retry_after = error.retry_after().unwrap();
        assert!(retry_after <= Duration::from_secs(seconds), "{retry_after:?}");
        assert!(retry_after > Duration::from_secs(seconds / 2), "{retry_after:?}");
    }
}

#[tokio::test]
async fn expires_in_sets_the_expiry_in_every_form() {
    for (member, seconds) in [
        (r#","expires_in":3600"#, Some(3600)),
        (r#","expires_in":"3600""#, Some(3600)),
        (r#","expires_in":3600.0"#, Some(3600)),
        ("", None),
        (r#","expires_in":null"#, None),
    ] {
        let issuer = Issuer::answering(200, "", &format!(r#"{{"access_token":"a"{member}}}"#)).await;
        let cache = TokenCache::builder(ClientCredentials::new(client(&issuer), TokenRequest::default())).build();
        assert_eq!(cache.get().await.unwrap().secret(), "a");
        let remaining = cache.status().remaining;
        assert_eq!(remaining.is_some(), seconds.is_some(), "{member}");
        assert!(remaining.is_none_or(|remaining| remaining.as_secs() > 3000), "{remaining:?}");
    }
    for member in ["0", "-5", "\"0\"", "-1e300"] {
        let issuer = Issuer::answering(200, "", &format!(r#"{{"access_token":"a","expires_in":{member}}}"#)).await;
        assert_eq!(fetch(&issuer).await.unwrap_err().kind(), ErrorKind::AlreadyExpired, "{member}");
    }
    for member in ["18446744073709551615", "1e300", "\"99999999999999999999999\""] {
        let issuer = Issuer::answering(200, "", &format!(r#"{{"access_token":"a","expires_in":{member}}}"#)).await;
        assert_eq!(fetch(&issuer).await.unwrap().secret(), "a", "{member}");
    }
}

#[tokio::test]
async fn a_default_lifetime_is_used_only_without_a_stated_one() {
    for (member, seconds) in [("", 60), (r#","expires_in":3600"#, 3600)] {
        let issuer = Issuer::answering(200, "", &format!(r#"{{"access_token":"a"{member}}}"#)).await;
        let source = ClientCredentials::new(client(&issuer), TokenRequest::default());
        let token = source.default_lifetime(Duration::from_secs(60)).fetch().await.unwrap();
        let start = std::time::UNIX_EPOCH;
        assert_eq!(token.expires_at(start), Some(start + Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn each_authentication_sends_what_its_specification_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let issuer = Issuer::answering(200, "", r#"{"access_token":"a"}"#).await;
    let access = TokenRequest::scopes(["write", "read"]).audience("https://api").resource("urn:r");
    let new = || Client::new(&issuer.url, "i:d").unwrap();
    let fetch = async |client| ClientCredentials::new(client, access.clone()).fetch().await.unwrap();
    let _ = fetch(new().secret("s/e")).await;
    let _ = fetch(new().secret_in_body("s/e")).await;
    let workload = ClientCredentials::new(new().assertion_file(&file), access.clone());
    let _ = workload.fetch().await.unwrap();
    // Kubernetes replaces the file.
    std::fs::write(&file, "second").unwrap();
    let _ = workload.fetch().await.unwrap();

    let requests = issuer.requests();
    let common = "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fapi&resource=urn%3Ar";
    // "i%3Ad:s%2Fe"
    assert!(requests[0].contains("authorization: Basic aSUzQWQ6cyUyRmU=\r\n"), "{}", requests[0]);
    assert!(requests[0].ends_with(common), "{}", requests[0]);
    assert!(requests[1].ends_with(&format!("{common}&client_id=i%3Ad&client_secret=s%2Fe")), "{}", requests[1]);
    assert!(requests[2].ends_with("jwt-bearer&client_assertion=first"), "{}", requests[2]);
    assert!(requests[3].ends_with("jwt-bearer&client_assertion=second"), "{}", requests[3]);
    std::fs::remove_file(&file).unwrap();
    let error = workload.fetch().await.map(drop).unwrap_err();
    assert!(error.to_string().contains("client assertion"), "{error}");
}

#[tokio::test]
async fn the_hook_stores_a_rotated_refresh_token_before_the_access_token_is_used() {
    let issuer = Issuer::start(vec![rotated("a1", "r1"), rotated("a2", "r2")]).await;
    let stored = Arc::<Mutex<Vec<String>>>::default();
    let source = Refresh::new(client(&issuer), "r0").on_rotation({
        let stored = Arc::clone(&stored);
        move |token| {
            stored.lock().unwrap().push(token);
            async { Ok::<_, std::io::Error>(()) }
        }
    });
    assert_eq!(source.fetch().await.unwrap().value().secret(), "a1");
    assert_eq!(*stored.lock().unwrap(), ["r1"]);
    assert_eq!(source.fetch().await.unwrap().value().secret(), "a2");
    assert_eq!(*stored.lock().unwrap(), ["r1", "r2"]);
    assert_eq!(used(&issuer), ["r0", "r1"]);
}

#[tokio::test]
async fn a_failing_hook_fails_the_fetch_and_keeps_the_refresh_token() {
    let issuer =
        Issuer::start(vec![rotated("a1", "r1"), (200, String::new(), r#"{"access_token":"a2"}"#.into())]).await;
    let calls = Arc::<Mutex<Vec<String>>>::default();
    let source = Refresh::new(client(&issuer), "r0").on_rotation({
        let calls = Arc::clone(&calls);
        move |token| {
            calls.lock().unwrap().push(token);
            let result = if calls.lock().unwrap().len() < 3 { Err("the disk is full") } else { Ok(()) };
            async move { result }
        }
    });
    for _ in 0..2 {
        let error = source.fetch().await.map(drop).unwrap_err();
        assert!(error.to_string().contains("hook"), "{error}");
        assert_eq!(error.source().unwrap().to_string(), "the disk is full");
    }
    assert_eq!(used(&issuer), ["r0"], "the issuer is not called while a refresh token is not stored");
    assert_eq!(source.fetch().await.unwrap().value().secret(), "a2");
    assert_eq!(used(&issuer), ["r0", "r1"]);
    assert_eq!(*calls.lock().unwrap(), ["r1", "r1", "r1"]);
}

/// The cache drops a fetch after its `fetch_timeout`.
#[tokio::test]
async fn a_dropped_fetch_keeps_the_rotated_refresh_token() {
    let issuer = Issuer::start(vec![rotated("a1", "r1"), rotated("a2", "r2")]).await;
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let blocks = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let source = Refresh::new(client(&issuer), "r0").on_rotation({
        let blocks = Arc::clone(&blocks);
        move |token| {
            called.send(token).unwrap();
            let blocks = blocks.load(std::sync::atomic::Ordering::Relaxed);
            async move {
                if blocks {
                    std::future::pending::<()>().await;
                }
                Ok::<_, std::io::Error>(())
            }
        }
    });
    tokio::select! {
        _ = source.fetch() => panic!("the hook blocks"),
        token = calls.recv() => assert_eq!(token.unwrap(), "r1"),
    }
    blocks.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(source.fetch().await.unwrap().value().secret(), "a2");
    assert_eq!(calls.recv().await.unwrap(), "r1");
    assert_eq!(calls.recv().await.unwrap(), "r2");
    assert_eq!(used(&issuer), ["r0", "r1"]);
}

#[tokio::test]
async fn debug_and_errors_contain_no_secret() {
    let issuer = Issuer::answering(200, "", r#"{"access_token":"hunter2","refresh_token":"hunter2"}"#).await;
    let url = format!("{}?key=hunter2", issuer.url.replace("//", "//user:hunter2@"));
    for client in [
        Client::new(&url, "id").unwrap().secret(CANARY),
        Client::new(&url, "id").unwrap().secret_in_body(CANARY),
        // Nothing listens on port 9.
        Client::new("http://user:hunter2@127.0.0.1:9/?key=hunter2", "id").unwrap().secret(CANARY),
    ] {
        let credentials = ClientCredentials::new(client.clone(), TokenRequest::default());
        let refresh = Refresh::new(client.clone(), CANARY);
        let mut printed = format!("{client:?} {client:#?} {credentials:?} {refresh:?} {:?}", AccessToken::new(CANARY));
        for result in [credentials.fetch().await, refresh.fetch().await] {
            printed += &match result {
                Ok(token) => format!("{token:?}"),
                Err(error) => format!("{error} {error:?} {error:#?} {:?}", error.source()),
            };
        }
        assert!(!printed.contains(CANARY), "{printed}");
    }
    for url in ["", "hunter2", "ftp://hunter2", "https://", "http://hunter2:x/"] {
        let error = Client::new(url, "id").unwrap_err();
        assert!(matches!(error, ConfigError::TokenUrl), "{error}");
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
    }
}

fn rotated(access: &str, refresh: &str) -> (u16, String, String) {
    (200, String::new(), format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}","expires_in":60}}"#))
}

fn used(issuer: &Issuer) -> Vec<String> {
    let refresh_token = |request: &String| {
        request.split(['&', '\n']).find_map(|part| part.strip_prefix("refresh_token=")).unwrap().to_owned()
    };
    issuer.requests().iter().map(refresh_token).collect()
}

async fn fetch(issuer: &Issuer) -> Result<Arc<AccessToken>, Error> {
    TokenCache::builder(ClientCredentials::new(client(issuer), TokenRequest::default())).build().get().await
}

fn client(issuer: &Issuer) -> Client {
    Client::new(&issuer.url, "client").unwrap().secret("secret")
}

fn cause(error: &Error) -> &FetchError {
    error.source().unwrap().downcast_ref().unwrap()
}

fn assert_hides_canary(error: &Error) {
    let fetch = cause(error);
    let printed = format!("{error} {error:?} {error:#?} {fetch} {fetch:?} {fetch:#?}");
    assert!(!printed.contains(CANARY), "{printed}");
}
