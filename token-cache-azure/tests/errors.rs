//! What a credential's errors mean for the cache, and that nothing printed contains a secret.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind as AzureKind};
use azure_core::http::headers::Headers;
use azure_core::http::{RawResponse, StatusCode};
use token_cache_azure::{AzureError, AzureSource};
use token_cache_core::ErrorKind;
use token_cache_test_support::TraceLog;

const CANARY: &str = "hunter2";

/// Fails with a text and a body that contain a secret.
struct Failing(fn() -> Error);

impl std::fmt::Debug for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(CANARY)
    }
}

#[async_trait]
impl TokenCredential for Failing {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Err((self.0)())
    }
}

fn refused(status: u16, code: Option<&str>, body: &'static str) -> Error {
    let status = StatusCode::from(status);
    let mut headers = Headers::new();
    if status == StatusCode::TooManyRequests || status == StatusCode::ServiceUnavailable {
        headers.insert("retry-after", "3600");
    }
    let kind = AzureKind::HttpResponse {
        status,
        error_code: code.map(str::to_owned),
        raw_response: Some(Box::new(RawResponse::from_bytes(status, headers, body))),
    };
    // azure_identity wraps the error.
    Error::with_error(AzureKind::Credential, Error::with_message(kind, body), body)
}

#[tokio::test]
async fn errors_are_told_apart_by_status_and_code() {
    type Case = (fn() -> Error, ErrorKind, bool, &'static str);
    let cases: [Case; 10] = [
        (|| refused(401, Some("7000215"), "hunter2"), ErrorKind::Permanent, false, "AADSTS7000215"),
        (|| refused(400, Some("hunter2"), "hunter2"), ErrorKind::Permanent, false, "400"),
        (|| refused(400, None, r#"{"error":"invalid_request"}"#), ErrorKind::Permanent, false, "400"),
        (|| refused(400, None, r#"{"error":"temporarily_unavailable"}"#), ErrorKind::Source, false, "400"),
        (|| refused(404, None, "hunter2"), ErrorKind::Source, false, "404"),
        (|| refused(429, None, "hunter2"), ErrorKind::Source, true, "429"),
        (|| refused(503, None, "<html>hunter2</html>"), ErrorKind::Source, true, "503"),
        (|| refused(500, None, ""), ErrorKind::Source, false, "500"),
        (|| Error::with_message(AzureKind::Io, "hunter2"), ErrorKind::Source, false, "cannot be reached"),
        (|| Error::with_message(AzureKind::Credential, "hunter2"), ErrorKind::Source, false, "expose_unredacted"),
    ];
    let log = TraceLog::start();
    for (error, expected, waits, text) in cases {
        let source = AzureSource::new(Arc::new(Failing(error)));
        assert!(!format!("{source:?}").contains(CANARY));
        let cache = source.cache().build();
        let error = cache.get().await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        let hour = error.retry_after().is_some_and(|delay| delay > Duration::from_secs(1800));
        assert_eq!(hour, waits, "{error}");
        let cause: &AzureError = error.source().unwrap().downcast_ref().unwrap();
        let printed = format!("{error} {error:?} {error:#?} {cause} {cause:?} {cache:?} {:?}", cache.status());
        assert!(!printed.contains(CANARY), "{printed}");
    }
    // Also at `TRACE`, by any crate.
    let shown = log.crates_that_show(&[CANARY], &["token_cache_core"]);
    assert!(shown.is_empty(), "{shown:?}");
}
