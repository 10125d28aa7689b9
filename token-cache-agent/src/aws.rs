//! Container credentials of AWS.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use serde::Serialize;

use crate::agent::{Agent, json, refusal, unavailable};

pub(crate) const PATH: &str = "/aws/credentials";

pub(crate) async fn answer(agent: &Agent, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(cache) = &agent.aws else { return refusal(StatusCode::NOT_FOUND) };
    let presented = request.headers().get(AUTHORIZATION);
    if !presented.is_some_and(|presented| agent.secret.matches(presented.as_bytes())) {
        return refusal(StatusCode::FORBIDDEN);
    }
    match cache.get_with_times().await {
        Ok(found) => {
            let credentials = &*found.token;
            json(&Body {
                access_key_id: credentials.access_key_id(),
                secret_access_key: credentials.secret_access_key(),
                token: credentials.session_token().unwrap_or_default(),
                expiration: found.expires_at.map(|time| humantime::format_rfc3339_seconds(time).to_string()),
                account_id: credentials.account_id().map(|id| id.as_str()),
            })
        }
        Err(error) => unavailable(&error),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}
