//! `BearerLayer::https_only`.

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use token_cache_core::BearerLayer;

use crate::harness::Harness;

#[tokio::test]
async fn https_only_sends_no_token_over_http() {
    let cases = [
        ("http://service/?key=hunter2", "starts with http:"),
        ("HTTP://service/", "starts with http:"),
        ("ws://service/", "starts with ws:"),
        ("/path", "no scheme"),
        ("service:443", "no scheme"),
        ("*", "no scheme"),
    ];
    for (uri, expected) in cases {
        // The cache is empty: the request fails before a fetch starts.
        let mut harness = Harness::new();
        harness.configure(BearerLayer::https_only);
        let error = harness.send(request(uri.parse().unwrap())).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected) && !text.contains("hunter2"), "{uri}: {text}");
        assert!(harness.server.take_requests().is_empty(), "{uri}");
        assert_eq!(harness.source.handle.fetches(), 0, "{uri}");
    }
}

#[tokio::test]
async fn https_only_sends_tokens_over_https() {
    let built = Uri::builder().scheme("HTTPS").authority("service").path_and_query("/").build().unwrap();
    for uri in ["https://service/".parse().unwrap(), "HTTPS://service/".parse().unwrap(), built] {
        let mut harness = Harness::with_token("one").await;
        harness.configure(BearerLayer::https_only);
        harness.send(request(uri)).await.unwrap();
        assert_eq!(harness.server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn http_is_allowed_by_default() {
    for uri in ["http://127.0.0.1/", "/path"] {
        let harness = Harness::with_token("one").await;
        harness.send(request(uri.parse().unwrap())).await.unwrap();
        assert_eq!(harness.server.take_requests().len(), 1);
    }
}

fn request(uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    request
}
