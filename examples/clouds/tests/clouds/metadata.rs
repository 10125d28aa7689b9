//! Google's metadata server. It returns the same token until shortly before its expiry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;
use token_cache_core::Clock;

use crate::serve::{self, Server};

pub(crate) struct Metadata {
    server: Server,
    requests: Arc<AtomicU64>,
}

impl Metadata {
    /// `mint` returns a new token and its lifetime. The server renews the token when at most `renewal` remains.
    pub(crate) async fn start<F, Fut>(clock: impl Clock, renewal: Duration, mint: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = (String, Duration)> + Send,
    {
        let (requests, mint, clock) = (Arc::<AtomicU64>::default(), Arc::new(mint), Arc::new(clock));
        let current = Arc::new(Mutex::new((String::new(), Duration::ZERO)));
        let server = Server::start({
            let requests = Arc::clone(&requests);
            move |request| {
                let (requests, mint) = (Arc::clone(&requests), Arc::clone(&mint));
                let (clock, current) = (Arc::clone(&clock), Arc::clone(&current));
                async move {
                    if !is_token_request(&request) {
                        return serve::json(StatusCode::FORBIDDEN, "{}");
                    }
                    requests.fetch_add(1, Ordering::Relaxed);
                    let now = clock.now().monotonic();
                    let (mut token, mut end) = current.lock().unwrap().clone();
                    if end <= now + renewal {
                        let (minted, lifetime) = mint().await;
                        (token, end) = (minted, now + lifetime);
                        *current.lock().unwrap() = (token.clone(), end);
                    }
                    token_response(&token, end - now)
                }
            }
        })
        .await;
        Self { server, requests }
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// The number of requests for a token.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn is_token_request(request: &Request<Bytes>) -> bool {
    request.uri().path() == "/computeMetadata/v1/instance/service-accounts/default/token"
        && request.headers().get("metadata-flavor").is_some_and(|flavor| flavor == "Google")
}

fn token_response(token: &str, remaining: Duration) -> Response<Bytes> {
    let body = json!({ "access_token": token, "expires_in": remaining.as_secs(), "token_type": "Bearer" });
    serve::json(StatusCode::OK, body.to_string())
}
