//! The `Authorization` header, and requests without a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join;
use http::{HeaderName, Request, StatusCode, header};
use http_body_util::Full;
use token_cache_core::{BearerLayer, ErrorKind};

use crate::harness::{Harness, post};

#[tokio::test]
async fn the_token_replaces_the_authorization_header_only() {
    let mut harness = Harness::new();
    let request = Request::put("https://service/path?query")
        .header("x-custom", "kept")
        .header(header::AUTHORIZATION, "Basic old")
        .extension(7_u8)
        .body(Full::<Bytes>::from("body"))
        .unwrap();
    let (response, ()) = join(harness.send(request), harness.source.succeed("one")).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let requests = harness.server.take_requests();
    let request = &requests[0];
    let headers = &request.parts.headers;
    assert_eq!(headers.get_all(header::AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer one"]);
    assert_eq!(headers["x-custom"], "kept");
    assert_eq!(request.parts.extensions.get::<u8>(), Some(&7));
    assert_eq!(request.parts.method, "PUT");
    assert_eq!(request.parts.uri, "https://service/path?query");
    assert_eq!((request.size_hint.exact(), request.body.as_deref().unwrap()), (Some(4), &b"body"[..]));
}

/// <https://github.com/spring-projects/spring-vault/issues/222>
#[tokio::test]
async fn the_token_can_have_another_header_and_scheme() {
    const VAULT: HeaderName = HeaderName::from_static("x-vault-token");
    type Configure = fn(BearerLayer<String>) -> BearerLayer<String>;
    let cases: [(Configure, HeaderName, &str); 8] = [
        (|layer| layer, header::AUTHORIZATION, "Bearer one"),
        (|layer| layer.scheme("token"), header::AUTHORIZATION, "token one"),
        (|layer| layer.scheme(""), header::AUTHORIZATION, "one"),
        (|layer| layer.header(VAULT), VAULT, "one"),
        (|layer| layer.header(VAULT).scheme("Bearer"), VAULT, "Bearer one"),
        (|layer| layer.scheme("Bearer").header(VAULT), VAULT, "Bearer one"),
        (|layer| layer.header(VAULT).header(header::AUTHORIZATION), header::AUTHORIZATION, "Bearer one"),
        (|layer| layer.header(header::PROXY_AUTHORIZATION), header::PROXY_AUTHORIZATION, "Bearer one"),
    ];
    for (configure, name, value) in cases {
        let mut harness = Harness::with_token("one").await;
        harness.configure(configure);
        let request = Request::post("https://service/").header(&name, "old").body(Full::<Bytes>::default()).unwrap();
        harness.send(request).await.unwrap();
        let headers = &harness.server.take_requests()[0].parts.headers;
        assert_eq!(headers.len(), 1, "{headers:?}");
        assert_eq!(headers.get_all(&name).iter().collect::<Vec<_>>(), [value], "{name}");
        assert!(headers[&name].is_sensitive(), "{name}");
    }
}

#[tokio::test]
async fn a_token_in_another_header_leaves_authorization_alone() {
    let mut harness = Harness::with_token("one").await;
    harness.configure(|layer| layer.header(HeaderName::from_static("x-vault-token")));
    let request = Request::post("https://service/").header(header::AUTHORIZATION, "Basic kept");
    harness.send(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    assert_eq!(harness.server.take_requests()[0].authorization(), "Basic kept");
}

#[tokio::test]
async fn p22_an_invalid_scheme_is_an_error() {
    let mut harness = Harness::with_token("hunter2").await;
    harness.configure(|layer| layer.scheme("to\nken"));
    let error = harness.send(post("body")).await.unwrap_err();
    let text = format!("{error} {error:?} {:?}", harness.layer);
    assert!(text.contains("not allowed in a header") && !text.contains("hunter2"), "{text}");
    assert!(harness.server.take_requests().is_empty());
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let mut harness = Harness::new();
    let response = harness.send(post("body"));
    let (response, ()) = join(response, harness.source.fail("the issuer is down")).await;
    let error = response.unwrap_err();
    assert!(error.to_string().contains("the issuer is down"), "{error}");
    assert_eq!(error.downcast::<token_cache_core::Error>().unwrap().kind(), ErrorKind::Source);
    assert!(harness.server.take_requests().is_empty());
}

#[tokio::test]
async fn p22_an_invalid_header_value_is_not_printed() {
    let harness = Harness::with_token("hunter2\n").await;
    let error = harness.send(post("body")).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("not allowed in a header") && !text.contains("hunter2"), "{text}");
    assert!(harness.server.take_requests().is_empty());
}

#[tokio::test]
async fn p22_the_header_is_sensitive_and_built_once() {
    let built = Arc::new(AtomicUsize::new(0));
    let mut harness = Harness::with_secret({
        let built = Arc::clone(&built);
        move |token| {
            built.fetch_add(1, Ordering::SeqCst);
            token
        }
    });
    let (response, ()) = join(harness.send(post("body")), harness.source.succeed("hunter2")).await;
    response.unwrap();
    harness.send(post("body")).await.unwrap();
    assert_eq!(built.load(Ordering::SeqCst), 1);
    let client = tower::Layer::layer(&harness.layer, harness.server.clone());
    for request in harness.server.take_requests() {
        assert!(request.parts.headers[header::AUTHORIZATION].is_sensitive());
        let text = format!("{:?} {:?} {client:?} {:?}", request.parts, harness.layer, harness.cache);
        assert!(text.contains("Sensitive") && !text.contains("hunter2"), "{text}");
    }
}
