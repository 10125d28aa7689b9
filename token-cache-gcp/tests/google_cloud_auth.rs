//! google-cloud-auth behind the cache: errors, and the token file of a Kubernetes pod.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use google_cloud_auth::credentials::external_account;
use token_cache_core::{ErrorKind, TokenCache};
use token_cache_gcp::{GoogleError, google_cloud_auth};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn the_file_of_a_service_account_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let (url, requests) = token_exchange().await;
    std::fs::write(&file, "first").unwrap();
    // google-cloud-auth renews tokens this short after 10 s.
    let cache = TokenCache::builder(google_cloud_auth(credentials(&url, &file, "text"))).build();
    assert_eq!(cache.get().await.unwrap().secret(), "federated");
    std::fs::write(&file, "second").unwrap();
    while requests.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let requests = requests.lock().unwrap();
    assert!(requests[0].contains("subject_token=first"), "{}", requests[0]);
    assert!(requests[1].contains("subject_token=second"), "{}", requests[1]);
}

/// google-cloud-auth puts the content of the file into its message.
#[tokio::test]
async fn errors_show_neither_file_nor_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, r#"{"other":"hunter2"}"#).unwrap();
    let (url, _) = token_exchange().await;
    let cache = TokenCache::builder(google_cloud_auth(credentials(&url, &file, "json"))).build();
    let error = cache.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    let cause: &GoogleError = error.source().unwrap().downcast_ref().unwrap();
    let printed = format!("{error} {error:?} {error:#?} {cause} {cause:?} {cache:?} {:?}", cache.status());
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(cause.expose_unredacted().contains("hunter2"), "{}", cause.expose_unredacted());
}

fn credentials(
    url: &str,
    file: &std::path::Path,
    format: &str,
) -> google_cloud_auth::credentials::AccessTokenCredentials {
    let json = serde_json::json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": url,
        "credential_source": { "file": file, "format": { "type": format, "subject_token_field_name": "id_token" } },
    });
    external_account::Builder::new(json).build_access_token_credentials().unwrap()
}

/// A token exchange endpoint ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)) and the requests that it got.
async fn token_exchange() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !request.contains("subject_token=") {
                let mut buffer = [0; 8192];
                let read = stream.read(&mut buffer).await.unwrap();
                request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            log.lock().unwrap().push(request);
            let body = r#"{"access_token":"federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":15}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, requests)
}
