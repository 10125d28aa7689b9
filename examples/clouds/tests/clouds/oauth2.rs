//! OAuth2, at oidc-provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use oauth2::AccessToken;
use object_store::gcp::GcpCredential;
use reqwest::Body;
use token_cache_clouds::oauth2::{ClientCredentials, Refresh};
use token_cache_core::{BearerLayer, ErrorKind, ReplayBody, TokenCache};
use tower::{ServiceBuilder, ServiceExt};

use crate::gate::{BUCKET, Gate};
use crate::provider::Requests;
use crate::{SECOND, load, provider};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn objects_are_written_and_read_while_tokens_of_5_s_rotate() {
    let (gate, cache) = (Gate::start().await, of_client("gcs"));
    let first = cache.get().await.unwrap();
    let store = gate.store(Arc::new(cache.view(credential)));
    let (requests, tokens) = load::through_rotations(store, &cache).await;
    assert_eq!(gate.refused(), 0);
    assert_eq!(provider::requests("gcs").await, Requests { succeeded: tokens, failed: 0 });
    assert!(!provider::is_active(&reqwest::Client::new(), first.secret()).await);
    println!("client credentials: {requests} requests, {} rotations, {tokens} token requests", tokens - 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn each_refresh_token_is_used_once_while_the_issuer_rotates_them() {
    let gate = Gate::start().await;
    let login = provider::login("rotated").await;
    let cache = TokenCache::builder(Refresh::new(provider::client("rotated"), provider::http(), login.clone())).build();
    let store = gate.store(Arc::new(cache.view(credential)));
    let (requests, tokens) = load::through_rotations(store, &cache).await;
    assert_eq!(gate.refused(), 0);
    assert_eq!(provider::requests("rotated").await, Requests { succeeded: tokens, failed: 0 });

    let stale = TokenCache::builder(Refresh::new(provider::client("rotated"), provider::http(), login)).build();
    let error = stale.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    println!("refresh token: {requests} requests, {} rotations, {tokens} token requests", tokens - 1);
}

/// What a program sends by itself, and not by a store: the layer does what a store's own retries would not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn a_token_revoked_in_the_middle_costs_one_new_token_and_no_failed_request() {
    let (gate, cache) = (Gate::start().await, of_client("revoked"));
    let client = ServiceBuilder::new()
        .layer(BearerLayer::new(&cache, |token: &AccessToken| token.secret()))
        .filter(|request: Request<ReplayBody>| reqwest::Request::try_from(request.map(Body::wrap)))
        .map_response(Response::<Body>::from)
        .service(reqwest::Client::new());
    let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let workers: Vec<_> = (0..WORKERS)
        .map(|n| {
            let (url, client) = (format!("{}/{BUCKET}/revoked-{n}", gate.url()), client.clone());
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let text = format!("{n} {}", sent.fetch_add(2, Ordering::Relaxed));
                    let put = Request::put(&url).body(Body::from(text.clone())).unwrap();
                    assert_eq!(client.clone().oneshot(put).await.unwrap().status(), StatusCode::OK);
                    let get = Request::get(&url).body(Body::default()).unwrap();
                    let read = client.clone().oneshot(get).await.unwrap().into_body().collect().await.unwrap();
                    assert_eq!(read.to_bytes(), text);
                }
            })
        })
        .collect();
    while sent.load(Ordering::Relaxed) < 50 {
        tokio::time::sleep(SECOND / 20).await;
    }
    // Past the distance that two fetches keep.
    tokio::time::sleep(SECOND).await;
    let revoked = cache.peek().unwrap();
    provider::revoke("revoked", &revoked).await;
    let then = sent.load(Ordering::Relaxed);
    while sent.load(Ordering::Relaxed) < then + 50 && !workers.iter().any(|worker| worker.is_finished()) {
        tokio::time::sleep(SECOND / 20).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("no request fails");
    }
    let refused = gate.refused();
    assert!((1..=WORKERS).contains(&refused), "each worker may have one on its way: {refused}");
    assert_eq!(provider::requests("revoked").await, Requests { succeeded: 2, failed: 0 });
    println!(
        "revoked: {} requests, {refused} answered with 401 and sent again, 2 token requests",
        sent.load(Ordering::Relaxed)
    );
}

fn of_client(id: &str) -> TokenCache<AccessToken> {
    TokenCache::builder(ClientCredentials { client: provider::client(id), http: provider::http(), scopes: Vec::new() })
        .build()
}

fn credential(token: &AccessToken) -> GcpCredential {
    GcpCredential { bearer: token.secret().clone() }
}

const WORKERS: u64 = 4;
