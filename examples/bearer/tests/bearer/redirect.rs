//! Redirects under reqwest.

use std::sync::Arc;

use http::Request;
use tower::ServiceExt;

use crate::Harness;
use crate::server::{self, REDIRECT};

#[tokio::test]
async fn reqwest_follows_only_redirects_without_a_body() {
    let harness = Harness::new();
    let address = server::start_echo(Arc::clone(&harness.auth)).await;
    let client = token_cache_bearer::reqwest::with_tokens(reqwest::Client::new(), &harness.cache);
    let url = format!("http://{address}{REDIRECT}");
    let request = Request::get(&url).body(reqwest::Body::default()).unwrap();
    assert_eq!(client.clone().oneshot(request).await.unwrap().status(), 200);
    let request = Request::post(&url).body("content".into()).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 307);
    assert_eq!(harness.auth.accepted(), 1);
}
