//! OAuth2 tokens from oidc-provider.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use object_store::gcp::GcpCredential;
use reqwest::Body;
use token_cache_core::{BearerLayer, BoxError, ErrorKind, ReplayBody, TokenCache};
use token_cache_oauth2::{AccessToken, ClientCredentials, Refresh, TokenRequest};
use token_cache_test_support::{Load, wait_until};
use tower::{ServiceBuilder, ServiceExt};

use crate::gcs::{BUCKET, GcsProxy};
use crate::provider::Requests;
use crate::{load, provider};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn no_request_fails_while_tokens_rotate() {
    let (gcs, cache) = (GcsProxy::start().await, of_client("gcs"));
    let first = cache.get().await.unwrap();
    let store = gcs.store(Arc::new(cache.view(AccessToken::to::<GcpCredential>)));
    let (operations, tokens) = load::through_rotations(store, &cache).await;
    assert_eq!(gcs.rejected(), 0);
    assert_eq!(provider::requests("gcs").await, Requests { succeeded: tokens, failed: 0 });
    let http = reqwest::Client::new();
    wait_until("the expiry of the first token", async || !provider::is_active(&http, first.secret()).await).await;
    println!("client credentials: {operations} operations, {} rotations, {tokens} token requests", tokens - 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn each_refresh_token_is_used_once() {
    let gcs = GcsProxy::start().await;
    let login = provider::login("rotated").await;
    let cache = TokenCache::builder(Refresh::new(provider::client("rotated"), login.clone())).build();
    let store = gcs.store(Arc::new(cache.view(AccessToken::to::<GcpCredential>)));
    let (operations, tokens) = load::through_rotations(store, &cache).await;
    assert_eq!(gcs.rejected(), 0);
    assert_eq!(provider::requests("rotated").await, Requests { succeeded: tokens, failed: 0 });

    let stale = TokenCache::builder(Refresh::new(provider::client("rotated"), login)).build();
    let error = stale.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    println!("refresh token: {operations} operations, {} rotations, {tokens} token requests", tokens - 1);
}

/// Requests of an HTTP client, for which the layer does what the retries of a store would not do.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn no_request_fails_after_a_token_is_revoked() {
    let (gcs, cache) = (GcsProxy::start().await, of_client("revoked"));
    let client = ServiceBuilder::new()
        .layer(BearerLayer::new(&cache, AccessToken::secret))
        .filter(|request: Request<ReplayBody>| reqwest::Request::try_from(request.map(Body::wrap)))
        .map_response(Response::<Body>::from)
        .service(reqwest::Client::new());
    let load = Load::new((0..WORKERS).map(|n| {
        let (url, client, mut written) = (format!("{}/{BUCKET}/revoked-{n}", gcs.url()), client.clone(), 0);
        move || {
            let (url, client) = (url.clone(), client.clone());
            written += 1;
            async move {
                let text = format!("{n} {written}");
                let put = Request::put(&url).body(Body::from(text.clone())).unwrap();
                assert_eq!(client.clone().oneshot(put).await?.status(), StatusCode::OK);
                let get = Request::get(&url).body(Body::default()).unwrap();
                assert_eq!(client.oneshot(get).await?.into_body().collect().await?.to_bytes(), text);
                Ok::<_, BoxError>(())
            }
        }
    }));
    let operations = load.operations();
    let end = async {
        // The cache accepts a rejection once it may fetch again.
        wait_until("operations, and the end of the pacing", async || {
            operations.count() >= 25 && cache.status().next_attempt.is_zero()
        })
        .await;
        provider::revoke("revoked", &cache.peek().unwrap()).await;
        let before = operations.count();
        wait_until("operations with the new token", async || operations.count() >= before + 25).await;
    };
    let operations = load.run_until(end).await.assert_no_failures();
    let rejected = gcs.rejected();
    assert!((1..=WORKERS).contains(&rejected), "{rejected} rejected requests, of {WORKERS} workers");
    assert_eq!(provider::requests("revoked").await, Requests { succeeded: 2, failed: 0 });
    println!("revoked: {operations} operations, {rejected} requests sent again after 401, 2 token requests");
}

fn of_client(id: &str) -> TokenCache<AccessToken> {
    TokenCache::builder(ClientCredentials::new(provider::client(id), TokenRequest::default())).build()
}

const WORKERS: u64 = 4;
