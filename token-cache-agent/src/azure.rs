//! Managed identity tokens of Azure, by the protocol of App Service.

use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use crate::agent::{Agent, json, refusal, unavailable};

pub(crate) const PATH: &str = "/msi/token";

pub(crate) async fn answer(agent: &Agent, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(caches) = &agent.azure else { return refusal(StatusCode::NOT_FOUND) };
    let presented = request.headers().get("x-identity-header");
    if !presented.is_some_and(|presented| agent.secret.matches(presented.as_bytes())) {
        return refusal(StatusCode::FORBIDDEN);
    }
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let resource =
        form_urlencoded::parse(query).find(|(name, _)| name == "resource").map(|(_, value)| value.into_owned());
    let Some(resource) = resource.filter(|resource| !resource.is_empty()) else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    match caches.cache(&resource).get_with_times().await {
        Ok(found) => {
            let expires_at = found.expires_at.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            // A token without an expiry: clients need one.
            let expires_on = expires_at.map_or(FAR_FUTURE, |since_epoch| since_epoch.as_secs());
            json(&json!({
                "access_token": found.token.secret(),
                "expires_on": expires_on.to_string(),
                "resource": resource,
                "token_type": "Bearer",
            }))
        }
        Err(error) => unavailable(&error),
    }
}

/// The year 2100, in seconds since 1970.
const FAR_FUTURE: u64 = 4_102_444_800;
