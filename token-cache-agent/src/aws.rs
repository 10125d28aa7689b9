//! Container credentials of AWS.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

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
            let mut body = json!({
                "AccessKeyId": credentials.access_key_id(),
                "SecretAccessKey": credentials.secret_access_key(),
                "Token": credentials.session_token().unwrap_or_default(),
            });
            if let Some(expires_at) = found.expires_at {
                body["Expiration"] = humantime::format_rfc3339_seconds(expires_at).to_string().into();
            }
            if let Some(account_id) = credentials.account_id() {
                body["AccountId"] = account_id.as_str().into();
            }
            json(&body)
        }
        Err(error) => unavailable(&error),
    }
}
