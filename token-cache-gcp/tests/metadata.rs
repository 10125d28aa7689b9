//! The metadata server: what it is sent, what its answers mean, and that nothing printed contains a token.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use token_cache_core::ErrorKind;
use token_cache_gcp::MetadataServer;
use token_cache_test_support::TraceLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[tokio::test]
async fn answers_are_read_and_no_token_is_printed() {
    for (status, headers, body, expected) in [
        (200, "", r#"{"access_token":"hunter2","expires_in":3599,"token_type":"Bearer"}"#, None),
        (200, "", r#"{"access_token":"hunter2","expires_in":"3599"}"#, None),
        (200, "", r#"{"access_token":"hunter2","expires_in":0}"#, Some(ErrorKind::AlreadyExpired)),
        (200, "", r#"{"access_token":"hunter2""#, Some(ErrorKind::Source)),
        (404, "", "hunter2", Some(ErrorKind::Source)),
        (302, "location: http://127.0.0.1:9/hunter2\r\n", "", Some(ErrorKind::Source)),
        (503, "retry-after: 3600\r\n", "<html>hunter2</html>", Some(ErrorKind::Source)),
        // No service account with this scope.
        (400, "", r#"{"error":"invalid_scope"}"#, Some(ErrorKind::Permanent)),
    ] {
        let (url, request) = answer(status, headers, body).await;
        let source = MetadataServer::at(&url).unwrap().scopes(["a", "b"]);
        let mut printed = format!("{source:?}");
        let cache = source.cache().build();
        let result = cache.get().await;
        let request = request.await.unwrap();
        let path = "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=a%2Cb HTTP/1.1";
        assert!(request.starts_with(path) && request.contains("metadata-flavor: Google"), "{request}");
        printed += &format!("{:?} {cache:?} {:?}", result, cache.status());
        match result {
            Ok(token) => {
                assert_eq!(expected, None);
                assert_eq!(token.secret(), "hunter2");
            }
            Err(error) => {
                assert_eq!(Some(error.kind()), expected, "{error}");
                printed += &error.to_string();
                let waits = error.retry_after().is_some_and(|delay| delay > Duration::from_secs(1800));
                assert_eq!(waits, status == 503);
            }
        }
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[tokio::test]
async fn p22_no_crate_logs_a_token_at_trace() {
    let log = TraceLog::start();
    for (status, body) in [(200, r#"{"access_token":"CanaryAccess","expires_in":3599}"#), (404, "CanaryText")] {
        let (url, request) = answer(status, "", body).await;
        let cache = MetadataServer::at(&url).unwrap().cache().build();
        assert_eq!(cache.get().await.is_ok(), status == 200);
        request.await.unwrap();
    }
    let shown = log.crates_that_show(&["Canary"], &["TRACE", "token_cache_core"]);
    assert!(shown.is_empty(), "{shown:?}");
}

/// A server that gives one answer. The task returns the request.
async fn answer(status: u16, headers: &'static str, body: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.contains("\r\n\r\n") {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        let head =
            format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        request
    });
    (url, task)
}
