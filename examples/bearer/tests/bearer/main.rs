//! The clients, over servers on loopback that know which tokens were revoked.

#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod server;
mod service;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use token_cache_core::TokenCache;
use tower::ServiceExt;

use crate::client::Client;
use crate::service::Service;

/// Each scenario with each client.
macro_rules! scenarios {
    ($($scenario:ident)*) => { $(
        mod $scenario {
            use crate::client::Client;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn under_hyper() {
                super::$scenario(Client::hyper).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn under_reqwest() {
                super::$scenario(Client::reqwest).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn under_tonic_by_the_status_of_grpc() {
                super::$scenario(Client::tonic).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn under_tonic_by_the_status_of_http() {
                super::$scenario(Client::tonic_behind_a_proxy).await;
            }
        }
    )* };
}

scenarios! {
    a_token_revoked_in_the_middle_costs_one_new_one_and_no_failed_request
    a_hundred_rejections_at_once_cost_one_fetch
    a_late_rejection_of_an_old_token_leaves_the_newer_one_alone
    a_service_that_rejects_every_token_is_asked_twice_and_its_answer_stands
    an_issuer_that_is_down_is_named_in_the_clients_error
}

#[tokio::test]
async fn reqwest_follows_redirects_but_for_those_that_ask_for_a_body_once_more() {
    let bench = Bench::new();
    let address = server::echo(Arc::clone(&bench.service)).await;
    let client = token_cache_bearer::reqwest::with_tokens(reqwest::Client::new(), &bench.cache);
    let moved = format!("http://{address}{}", server::MOVED);
    let request = http::Request::get(&moved).body(reqwest::Body::default()).unwrap();
    assert_eq!(client.clone().oneshot(request).await.unwrap().status(), 200);
    let request = http::Request::post(&moved).body("question".into()).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 307);
    assert_eq!(bench.service.accepted(), 1);
}

async fn a_token_revoked_in_the_middle_costs_one_new_one_and_no_failed_request(
    connect: impl AsyncFn(&Bench) -> Client,
) {
    let bench = Bench::new();
    let client = connect(&bench).await;
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
        bench.service.more_accepted(100).await;
        bench.service.revoke();
        for worker in join_all(workers).await {
            worker.unwrap().unwrap();
        }
    }
    client.call().await.unwrap();
    assert_eq!(bench.service.issued(), 4);
    assert!((3..=24).contains(&bench.service.rejected()), "{} rejections", bench.service.rejected());
}

async fn a_hundred_rejections_at_once_cost_one_fetch(connect: impl AsyncFn(&Bench) -> Client) {
    let bench = Bench::new();
    let client = connect(&bench).await;
    client.call().await.unwrap();
    bench.service.close();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call().await })
        })
        .collect();
    bench.service.arrived(100).await;
    bench.service.revoke();
    bench.service.open();
    for call in join_all(calls).await {
        call.unwrap().unwrap();
    }
    assert_eq!((bench.service.rejected(), bench.service.issued()), (100, 2));
}

async fn a_late_rejection_of_an_old_token_leaves_the_newer_one_alone(connect: impl AsyncFn(&Bench) -> Client) {
    let bench = Bench::new();
    let client = connect(&bench).await;
    client.call().await.unwrap();
    bench.service.close();
    let late = tokio::spawn(async move { client.call().await });
    bench.service.arrived(1).await;
    bench.service.revoke();
    bench.cache.refresh().await.unwrap(); // within the pacing, this may be the old one
    while bench.service.issued() == 1 {
        bench.cache.refresh().await.unwrap();
        tokio::task::yield_now().await;
    }
    let newer = bench.cache.peek().unwrap();
    bench.service.open();
    late.await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&newer, &bench.cache.peek().unwrap()));
    assert_eq!((bench.service.rejected(), bench.service.issued()), (1, 2));
}

async fn a_service_that_rejects_every_token_is_asked_twice_and_its_answer_stands(
    connect: impl AsyncFn(&Bench) -> Client,
) {
    let bench = Bench::new();
    let client = connect(&bench).await;
    bench.service.reject_all();
    let error = client.call().await.unwrap_err();
    assert!(error.contains("401") || error.to_lowercase().contains("unauthenticated"), "{error}");
    assert_eq!((bench.service.rejected(), bench.service.issued()), (2, 2));
}

async fn an_issuer_that_is_down_is_named_in_the_clients_error(connect: impl AsyncFn(&Bench) -> Client) {
    let bench = Bench::new();
    let client = connect(&bench).await;
    bench.service.stop_issuing();
    let error = client.call().await.unwrap_err();
    assert!(error.contains("the issuer is down"), "{error}");
    assert_eq!((bench.service.rejected(), bench.service.accepted()), (0, 0));
}

struct Bench {
    service: Arc<Service>,
    cache: TokenCache<String>,
}

impl Bench {
    fn new() -> Self {
        let service = Arc::new(Service::default());
        let cache = TokenCache::builder(service.source()).min_refresh_interval(Duration::from_millis(20)).build();
        Self { service, cache }
    }
}
