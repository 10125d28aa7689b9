//! Requests whose token the service rejects.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{join, join_all};
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};

use crate::harness::{Harness, SECOND, hourly, post};
use crate::ready_check::ReadyCheck;
use crate::server::Received;

#[tokio::test]
async fn a_rejected_token_costs_one_fetch_and_no_failure() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    let (response, ()) = join(harness.send(post("body")), harness.source.succeed("two")).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let requests = harness.server.take_requests();
    assert_eq!(requests.iter().map(Received::authorization).collect::<Vec<_>>(), ["Bearer one", "Bearer two"]);
    for request in requests {
        assert_eq!((request.size_hint.exact(), request.end_of_stream), (Some(4), false));
        assert_eq!(request.body.as_deref().unwrap(), b"body");
    }
    harness.send(post("body")).await.unwrap();
    assert_eq!(harness.server.take_requests().len(), 1);
    assert_eq!(harness.source.handle.fetches(), 2);
}

#[tokio::test]
async fn a_grpc_status_can_reject_a_token() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    harness.server.use_grpc_status();
    let (response, ()) = join(harness.send(post("body")), harness.source.succeed("two")).await;
    assert_eq!(response.unwrap().headers()["grpc-status"], "0");
    assert_eq!(harness.server.take_requests().len(), 2);
}

#[tokio::test]
async fn a_hundred_rejections_of_one_token_cost_one_fetch() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    harness.server.pause();
    let responses: Vec<_> = (0..100).map(|_| tokio::spawn(harness.send(post("body")))).collect();
    harness.source.handle.assert_no_fetch().await; // all requests have reached the server
    harness.server.resume();
    let (responses, ()) = join(join_all(responses), harness.source.succeed("two")).await;
    assert!(responses.into_iter().all(|response| response.unwrap().unwrap().status() == StatusCode::OK));
    assert_eq!(harness.server.take_requests().len(), 200);
    assert_eq!(harness.source.handle.fetches(), 2);
}

#[tokio::test]
async fn a_late_rejection_leaves_the_newer_token_alone() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    harness.server.pause();
    let late = tokio::spawn(harness.send(post("body")));
    harness.source.handle.assert_no_fetch().await; // the request has reached the server
    harness.clock.advance(SECOND);
    let (newer, ()) = join(harness.cache.refresh(), harness.source.succeed("two")).await;
    harness.server.resume();
    assert_eq!(late.await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(Arc::ptr_eq(&newer.unwrap(), &harness.cache.peek().unwrap()));
    assert_eq!(harness.source.handle.fetches(), 2);
}

#[tokio::test]
async fn a_request_is_sent_at_most_twice() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    harness.server.revoke("two");
    let (response, ()) = join(harness.send(post("body")), harness.source.succeed("two")).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(harness.server.take_requests().len(), 2);
    assert_eq!(**harness.cache.peek().unwrap(), *"two");
}

#[tokio::test]
async fn other_errors_do_not_reject_the_token() {
    let harness = Harness::with_token("one").await;
    harness.server.set_accepted_status(StatusCode::FORBIDDEN);
    assert_eq!(harness.send(post("body")).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(harness.server.take_requests().len(), 1);
    assert!(harness.cache.peek().is_some());
}

#[tokio::test]
async fn without_another_token_the_rejection_is_returned() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    let response = harness.send(post("body"));
    let (response, ()) = join(response, harness.source.fail("the issuer is down")).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(harness.server.take_requests().len(), 1);
}

#[tokio::test]
async fn the_same_token_is_not_sent_twice() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    let (response, ()) = join(harness.send(post("body")), harness.source.succeed("one")).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(harness.server.take_requests().len(), 1);
}

#[tokio::test]
async fn the_inner_service_is_ready_before_each_call() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    let inner = ReadyCheck::new(harness.server.clone());
    let mut client = harness.layer.layer(inner.clone());
    poll_fn(|context| Service::<Request<Full<Bytes>>>::poll_ready(&mut client, context)).await.unwrap();
    let (response, ()) = join(client.call(post("body")), harness.source.succeed("two")).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(inner.polls(), 2);
}

#[tokio::test]
async fn dropping_one_request_cancels_no_other() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    let dropped = tokio::spawn(harness.send(post("dropped")));
    let kept = tokio::spawn(harness.send(post("kept")));
    harness.clock.advance(SECOND);
    let fetch = harness.source.handle.next_fetch().await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    fetch.succeed(hourly("two"));
    assert_eq!(kept.await.unwrap().unwrap().status(), StatusCode::OK);
}
