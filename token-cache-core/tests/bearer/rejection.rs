//! Requests whose token the service rejects.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{join, join_all};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
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

/// - <https://github.com/apache/iceberg-python/issues/234>: 419
/// - <https://github.com/hashicorp/vault/issues/3033>: 403, and another header
/// - <https://github.com/StarRocks/starrocks/issues/77546>
#[tokio::test]
async fn p15_other_statuses_can_reject_the_token() {
    let statuses = [401, 403, 419].map(|status| StatusCode::from_u16(status).unwrap());
    for status in statuses {
        let mut harness = Harness::with_token("one").await;
        let name = HeaderName::from_static("x-vault-token");
        harness.configure(|layer| layer.header(name.clone()).rejected_statuses(statuses));
        harness.server.revoke_header("one");
        harness.server.reject_with(rejection(status, &[]));
        let (response, ()) = join(harness.send(post("body")), harness.source.succeed("two")).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{status}");
        let requests = harness.server.take_requests();
        assert_eq!(requests.iter().map(|request| &request.parts.headers[&name]).collect::<Vec<_>>(), ["one", "two"]);
    }
}

#[tokio::test]
async fn p15_a_status_that_is_not_named_keeps_the_token() {
    let mut harness = Harness::with_token("one").await;
    harness.configure(|layer| layer.rejected_statuses([StatusCode::FORBIDDEN]));
    assert_keeps_the_token(&harness, rejection(StatusCode::UNAUTHORIZED, &[]));
}

/// <https://github.com/googleapis/google-api-java-client/issues/644>
#[tokio::test]
async fn p15_a_rejection_for_another_reason_keeps_the_token() {
    let cases: [&[&str]; 11] = [
        &[r#"Bearer error="insufficient_scope""#],
        &["Bearer error=insufficient_scope"],
        &[r#"bearer realm="a, b", ERROR = "insufficient_scope" , scope="write""#],
        &[r#"Bearer realm="a \"quoted\", name",error="insufficient_scope""#],
        &[r#"Bearer error_description="café", error="insufficient_scope""#],
        &[r#"Basic realm="service", Bearer error="insufficient_scope""#],
        &[r#"Basic realm="service""#, r#"Bearer error="insufficient_scope""#],
        &[r#"Negotiate YWJj==, Bearer  error="insufficient_scope""#],
        &[r#"DPoP error="insufficient_scope", algs="ES256""#],
        &[r#"Bearer error="invalid_request""#],
        &[r#"Bearer error="insufficient_user_authentication", acr_values="mfa""#],
    ];
    for challenges in cases {
        let mut harness = Harness::with_token("one").await;
        assert_keeps_the_token(&harness, rejection(StatusCode::UNAUTHORIZED, challenges));
        assert_keeps_the_token(&harness, rejection(StatusCode::FORBIDDEN, challenges));
        harness.configure(|layer| layer.rejected_statuses([StatusCode::FORBIDDEN]));
        assert_keeps_the_token(&harness, rejection(StatusCode::FORBIDDEN, challenges));
        let mut grpc = rejection(StatusCode::OK, challenges);
        grpc.headers_mut().insert("grpc-status", HeaderValue::from_static("16"));
        assert_keeps_the_token(&harness, grpc);
    }
}

#[tokio::test]
async fn p15_no_other_part_of_a_challenge_keeps_the_token() {
    let cases: [&[&str]; 8] = [
        &["Bearer"],
        &[""],
        &[r#"Bearer error="invalid_token", error_description="expired""#],
        &[r#"Bearer error="insufficient_claims", claims="e30=""#],
        &[r#"Bearer realm="x, error=insufficient_scope""#],
        &[r#"Bearer error_description="not \", error=\"insufficient_scope""#],
        &[r#"Bearer scope="insufficient_scope""#],
        &[r#"Bearer realm="not closed, error=insufficient_scope"#],
    ];
    for challenges in cases {
        let mut harness = Harness::with_token("one").await;
        harness.server.revoke("one");
        harness.server.reject_with(rejection(StatusCode::UNAUTHORIZED, challenges));
        let (response, ()) = join(harness.send(post("body")), harness.source.succeed("two")).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{challenges:?}");
    }
}

#[tokio::test]
async fn p15_a_predicate_replaces_the_rule() {
    let mut harness = Harness::with_token("one").await;
    harness.configure(|layer| layer.rejected_if(|response| response.headers.contains_key("x-expired")));
    assert_keeps_the_token(&harness, rejection(StatusCode::UNAUTHORIZED, &[]));
    let mut expired = rejection(StatusCode::OK, &[r#"Bearer error="insufficient_scope""#]);
    expired.headers_mut().insert("x-expired", HeaderValue::from_static("1"));
    harness.server.reject_with(expired);
    let (response, ()) = join(harness.send(post("body")), harness.source.succeed("two")).await;
    assert!(!response.unwrap().headers().contains_key("x-expired"));
    assert_eq!(harness.server.take_requests().len(), 2);
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

fn rejection(status: StatusCode, challenges: &[&str]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    for challenge in challenges {
        let challenge = HeaderValue::from_bytes(challenge.as_bytes()).unwrap();
        response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Sends the token `one` to a server that answers with `response`.
fn assert_keeps_the_token(harness: &Harness, response: Response<()>) {
    let case = format!("{response:?}");
    let status = response.status();
    harness.server.revoke("one");
    harness.server.reject_with(response);
    let received = harness.send(post("body")).now_or_never().expect(&case).unwrap();
    assert_eq!(received.status(), status, "{case}");
    assert_eq!(harness.server.take_requests().len(), 1, "{case}");
    assert!(harness.cache.peek().is_some(), "{case}");
    assert_eq!(harness.source.handle.fetches(), 1, "{case}");
}
