//! The part of Google Cloud's metadata server that clients ask for tokens.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use token_cache_core::{Clock, SystemClock, TokenCache};
use token_cache_oauth2::AccessToken;

use crate::agent::{Agent, json, refusal, unavailable};

/// What is served as the default service account.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) cache: TokenCache<AccessToken>,
    pub(crate) email: String,
    pub(crate) project: String,
}

pub(crate) const PREFIX: &str = "/computeMetadata/v1/";

pub(crate) async fn answer(agent: &Agent, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(identity) = &agent.google else { return refusal(StatusCode::NOT_FOUND) };
    let flavor = request.headers().get(FLAVOR);
    let path = request.uri().path();
    // Clients look for a metadata server without the header, and expect it in the answer.
    let mut response = if path == "/" {
        text("computeMetadata/\n")
    } else if flavor.is_none_or(|flavor| flavor != "Google") {
        refusal(StatusCode::FORBIDDEN)
    } else {
        identity.answer(&path[PREFIX.len()..], request.uri().query().unwrap_or_default()).await
    };
    response.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
    response
}

impl Identity {
    async fn answer(&self, path: &str, query: &str) -> Response<Full<Bytes>> {
        let account = path.strip_prefix("instance/service-accounts/").and_then(|path| {
            let (account, item) = path.split_once('/')?;
            (account == "default" || account == self.email).then_some(item)
        });
        match (account, path) {
            (Some("token"), _) => self.token().await,
            (Some("email"), _) => text(&self.email),
            (Some("scopes"), _) => text("https://www.googleapis.com/auth/cloud-platform\n"),
            (Some(""), _) if query.contains("recursive=true") => json(&json!({
                "aliases": ["default"],
                "email": self.email,
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            })),
            (_, "project/project-id") => text(&self.project),
            (_, "universe/universe-domain" | "universe/universe_domain") => text("googleapis.com"),
            _ => refusal(StatusCode::NOT_FOUND),
        }
    }

    async fn token(&self) -> Response<Full<Bytes>> {
        match self.cache.get_with_times().await {
            Ok(found) => {
                let remaining = found.expires_at.map_or(NO_EXPIRY, |expires_at| {
                    expires_at.duration_since(SystemClock::new().now().wall()).unwrap_or_default()
                });
                json(&json!({
                    "access_token": found.token.secret(),
                    "expires_in": remaining.as_secs(),
                    "token_type": "Bearer",
                }))
            }
            Err(error) => unavailable(&error),
        }
    }
}

fn text(text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.to_owned()));
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/text"));
    response
}

const FLAVOR: &str = "metadata-flavor";
/// For a token without an expiry: clients need one.
const NO_EXPIRY: Duration = Duration::from_secs(3600);
