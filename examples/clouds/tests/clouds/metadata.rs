//! Google's metadata server: it gives the same token again until shortly before its end.

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
    asked: Arc<AtomicU64>,
}

impl Metadata {
    /// Gives what `mint` has made, a token and its lifetime, until no more than `renewal` of it is left.
    pub(crate) async fn start<F, Fut>(clock: impl Clock, renewal: Duration, mint: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = (String, Duration)> + Send,
    {
        let (asked, mint, clock) = (Arc::<AtomicU64>::default(), Arc::new(mint), Arc::new(clock));
        let current = Arc::new(Mutex::new((String::new(), Duration::ZERO)));
        let server = Server::start({
            let asked = Arc::clone(&asked);
            move |request| {
                let (asked, mint) = (Arc::clone(&asked), Arc::clone(&mint));
                let (clock, current) = (Arc::clone(&clock), Arc::clone(&current));
                async move {
                    if !is_right(&request) {
                        return serve::json(StatusCode::FORBIDDEN, "{}");
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    let now = clock.now().monotonic();
                    let (mut token, mut end) = current.lock().unwrap().clone();
                    if end <= now + renewal {
                        let (minted, lifetime) = mint().await;
                        (token, end) = (minted, now + lifetime);
                        *current.lock().unwrap() = (token.clone(), end);
                    }
                    answer(&token, end - now)
                }
            }
        })
        .await;
        Self { server, asked }
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// How often it was asked for a token.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn is_right(request: &Request<Bytes>) -> bool {
    request.uri().path() == "/computeMetadata/v1/instance/service-accounts/default/token"
        && request.headers().get("metadata-flavor").is_some_and(|flavor| flavor == "Google")
}

fn answer(token: &str, left: Duration) -> Response<Bytes> {
    let answer = json!({ "access_token": token, "expires_in": left.as_secs(), "token_type": "Bearer" });
    serve::json(StatusCode::OK, answer.to_string())
}
