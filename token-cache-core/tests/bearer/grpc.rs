//! `GrpcStatusLayer`: calls without a token.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use token_cache_core::{BearerLayer, BoxError, GrpcStatusLayer, TemporaryToken, permanent};
use tower::util::MapErrLayer;
use tower::{Layer, ServiceExt, service_fn};

use crate::harness::{Harness, ResponseFuture};

const UNAVAILABLE: &str = "14";
const UNAUTHENTICATED: &str = "16";

#[tokio::test]
async fn a_temporary_failure_is_unavailable() {
    for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"] {
        let mut harness = Harness::new();
        let call = call(&harness, content_type);
        let (response, ()) = join(call, harness.source.fail("100 % down:\nétat")).await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], UNAVAILABLE);
        let message = response.headers()["grpc-message"].to_str().unwrap();
        assert!(message.starts_with("the token source failed"), "{message}");
        assert!(message.ends_with(": 100 %25 down:\\n%C3%A9tat"), "{message}");
        assert!(harness.server.take_requests().is_empty());
    }
}

#[tokio::test]
async fn an_expired_answer_is_unavailable() {
    let mut harness = Harness::new();
    let call = tokio::spawn(call(&harness, "application/grpc"));
    let expired = TemporaryToken::expires_in("one".to_owned(), Duration::ZERO);
    harness.source.handle.next_fetch().await.succeed(expired);
    assert_eq!(call.await.unwrap().unwrap().headers()["grpc-status"], UNAVAILABLE);
}

#[tokio::test]
async fn a_permanent_failure_is_unauthenticated() {
    let mut harness = Harness::new();
    let call = tokio::spawn(call(&harness, "application/grpc"));
    harness.source.handle.next_fetch().await.fail(permanent(io::Error::other("the account is disabled")));
    let response = call.await.unwrap().unwrap();
    assert_eq!(response.headers()["grpc-status"], UNAUTHENTICATED);
    let message = response.headers()["grpc-message"].to_str().unwrap();
    assert!(message.ends_with("the account is disabled"), "{message}");
}

#[tokio::test]
async fn a_call_that_is_not_sent_is_unauthenticated() {
    let invalid = Harness::with_token("hunter2\n").await;
    let mut insecure = Harness::with_token("hunter2").await;
    insecure.configure(BearerLayer::https_only);
    for harness in [invalid, insecure] {
        let response = call(&harness, "application/grpc").await.unwrap();
        assert_eq!(response.headers()["grpc-status"], UNAUTHENTICATED);
        assert!(!format!("{response:?}").contains("hunter2"), "{response:?}");
        assert!(harness.server.take_requests().is_empty());
    }
}

#[tokio::test]
async fn a_response_is_returned_unchanged() {
    let harness = Harness::with_token("one").await;
    harness.server.set_accepted_status(StatusCode::FORBIDDEN);
    assert_eq!(call(&harness, "application/grpc").await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_request_of_another_protocol_fails_with_the_error() {
    for content_type in ["application/json", "application/grpc-web", "application/grp", "text/plain"] {
        let mut harness = Harness::new();
        let call = call(&harness, content_type);
        let (response, ()) = join(call, harness.source.fail("the issuer is down")).await;
        assert!(response.unwrap_err().is::<token_cache_core::Error>(), "{content_type}");
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_returned_unchanged() {
    let broken = service_fn(async |_: Request<()>| Err::<Response<()>, _>(io::Error::other("connection reset")));
    let response = GrpcStatusLayer::new().layer(broken).oneshot(post("application/grpc").body(()).unwrap());
    assert!(response.await.unwrap_err().is::<io::Error>());
}

#[tokio::test]
async fn the_error_is_found_behind_other_layers() {
    #[derive(Debug, thiserror::Error)]
    #[error("buffer closed")]
    struct Wrapper(#[source] BoxError);

    let mut harness = Harness::new();
    let client = MapErrLayer::new(Wrapper).layer(harness.layer.layer(harness.server.clone()));
    let call =
        GrpcStatusLayer::new().layer(client).oneshot(post("application/grpc").body(Full::<Bytes>::default()).unwrap());
    let (response, ()) = join(call, harness.source.fail("the issuer is down")).await;
    let response = response.unwrap();
    assert_eq!(response.headers()["grpc-status"], UNAVAILABLE);
    assert!(response.headers()["grpc-message"].to_str().unwrap().ends_with("the issuer is down"));
}

fn post(content_type: &str) -> http::request::Builder {
    Request::post("http://service/package.Service/Method").header("content-type", content_type)
}

fn call(harness: &Harness, content_type: &str) -> ResponseFuture {
    let client = GrpcStatusLayer::new().layer(harness.layer.layer(harness.server.clone()));
    client.oneshot(post(content_type).body(Full::<Bytes>::default()).unwrap()).boxed()
}
