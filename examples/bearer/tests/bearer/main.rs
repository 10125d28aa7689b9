//! `BearerLayer` under hyper, reqwest and tonic, against real servers on loopback that revoke tokens.

#![allow(clippy::unwrap_used, reason = "tests")]

mod auth;
mod client;
mod grpc_status;
mod redirect;
mod server;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use token_cache_core::TokenCache;

use crate::auth::AuthServer;
use crate::client::Client;

/// Runs each scenario with each client.
macro_rules! scenarios {
    ($($scenario:ident)*) => { $(
        mod $scenario {
            use crate::client::Client;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_hyper() {
                super::$scenario(Client::hyper).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_reqwest() {
                super::$scenario(Client::reqwest).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_tonic_and_grpc_status() {
                super::$scenario(Client::tonic).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_tonic_and_http_status() {
                super::$scenario(Client::tonic_behind_a_proxy).await;
            }
        }
    )* };
}

scenarios! {
    each_revocation_costs_one_fetch_and_no_failure
    a_hundred_rejections_cost_one_fetch
    a_late_rejection_leaves_the_newer_token_alone
    a_rejected_request_is_sent_at_most_twice
    the_client_error_contains_the_issuer_error
}

async fn each_revocation_costs_one_fetch_and_no_failure(connect: impl AsyncFn(&Harness) -> Client) {
    let harness = Harness::new();
    let client = connect(&harness).await;
    for _ in 0..3 {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        client.call().await?;
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        harness.auth.wait_until_accepted(100).await;
        harness.auth.revoke_issued();
        for worker in join_all(workers).await {
            worker.unwrap().unwrap();
        }
    }
    client.call().await.unwrap();
    assert_eq!(harness.auth.issued(), 4);
    // Each of 8 workers has at most one request under way when a token is revoked.
    assert!((3..=24).contains(&harness.auth.rejected()), "{} rejections", harness.auth.rejected());
}

async fn a_hundred_rejections_cost_one_fetch(connect: impl AsyncFn(&Harness) -> Client) {
    let harness = Harness::new();
    let client = connect(&harness).await;
    client.call().await.unwrap();
    harness.auth.pause();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call().await })
        })
        .collect();
    harness.auth.wait_until_paused(100).await;
    harness.auth.revoke_issued();
    harness.auth.resume();
    for call in join_all(calls).await {
        call.unwrap().unwrap();
    }
    assert_eq!((harness.auth.rejected(), harness.auth.issued()), (100, 2));
}

async fn a_late_rejection_leaves_the_newer_token_alone(connect: impl AsyncFn(&Harness) -> Client) {
    let harness = Harness::new();
    let client = connect(&harness).await;
    client.call().await.unwrap();
    harness.auth.pause();
    let late = tokio::spawn(async move { client.call().await });
    harness.auth.wait_until_paused(1).await;
    harness.auth.revoke_issued();
    let newer = harness.cache.refresh().await.unwrap();
    harness.auth.resume();
    late.await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&newer, &harness.cache.peek().unwrap()));
    assert_eq!((harness.auth.rejected(), harness.auth.issued()), (1, 2));
}

async fn a_rejected_request_is_sent_at_most_twice(connect: impl AsyncFn(&Harness) -> Client) {
    let harness = Harness::new();
    let client = connect(&harness).await;
    harness.auth.revoke_all();
    let error = client.call().await.unwrap_err();
    assert!(error.contains("401") || error.to_lowercase().contains("unauthenticated"), "{error}");
    assert_eq!((harness.auth.rejected(), harness.auth.issued()), (2, 2));
}

async fn the_client_error_contains_the_issuer_error(connect: impl AsyncFn(&Harness) -> Client) {
    let harness = Harness::new();
    let client = connect(&harness).await;
    harness.auth.stop_issuing();
    let error = client.call().await.unwrap_err();
    assert!(error.contains("the issuer is down"), "{error}");
    assert_eq!((harness.auth.rejected(), harness.auth.accepted()), (0, 0));
}

struct Harness {
    auth: Arc<AuthServer>,
    cache: TokenCache<String>,
}

impl Harness {
    fn new() -> Self {
        let auth = Arc::new(AuthServer::default());
        // Without pacing, no test waits for time to pass.
        let cache = TokenCache::builder(auth.source()).min_refresh_interval(Duration::ZERO).build();
        Self { auth, cache }
    }
}
