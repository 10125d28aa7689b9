//! The gRPC status of a call that has no token.

use std::io;

use token_cache_bearer::grpc;
use token_cache_core::{BoxError, TemporaryToken, TokenCache, permanent, source_fn};
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn a_temporary_failure_is_unavailable() {
    let status = call_without_token(|| io::Error::other("100 % down").into()).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().ends_with("100 % down"), "{status:?}");
}

#[tokio::test]
async fn a_permanent_failure_is_unauthenticated() {
    let status = call_without_token(|| permanent(io::Error::other("wrong secret"))).await;
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().ends_with("wrong secret"), "{status:?}");
}

/// Without the layer, tonic would find this status in the error chain.
#[tokio::test]
async fn the_status_of_the_issuer_is_not_that_of_the_call() {
    let status = call_without_token(|| Status::not_found("no such key").into()).await;
    assert_eq!(status.code(), Code::Unavailable);
}

/// Makes a call whose token source fails with `error`. Nothing listens at the address of the service.
async fn call_without_token(error: impl Fn() -> BoxError + Send + Sync + 'static) -> Status {
    let cache = TokenCache::builder(source_fn(move || {
        let error = error();
        async { Err::<TemporaryToken<String>, _>(error) }
    }))
    .build();
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    HealthClient::new(grpc::with_tokens(channel, &cache)).check(HealthCheckRequest::default()).await.unwrap_err()
}
