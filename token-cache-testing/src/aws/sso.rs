//! The SSO portal: returns the credentials of a role for an access token. Logging in, which needs a browser, is left out.

use std::time::UNIX_EPOCH;

use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use s3s::Body;
use serde_json::json;

use super::issuer::Issuer;
use super::routes::{bad_gateway, json, text};
use super::state::SessionValidity;

pub(crate) const PATH: &str = "/federation/credentials";

pub(crate) async fn answer(issuer: &Issuer, parts: &Parts, validity: SessionValidity) -> Response<Body> {
    if parts.method != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    let token = parts.headers.get("x-amz-sso_bearer_token").map(|token| token.as_bytes());
    if token != Some(issuer.sso_token().as_bytes()) {
        return text(StatusCode::UNAUTHORIZED, "the access token is missing or wrong");
    }
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let has = |name| form_urlencoded::parse(query).any(|(key, value)| key == name && !value.is_empty());
    if !has("account_id") || !has("role_name") {
        return text(StatusCode::BAD_REQUEST, "account_id and role_name are required");
    }
    let Some(session) = issuer.metadata_session(validity).await else { return bad_gateway() };
    let expires = session.expires_at().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    json(&json!({
        "roleCredentials": {
            "accessKeyId": session.access_key_id(),
            "secretAccessKey": session.secret_access_key(),
            "sessionToken": session.session_token(),
            "expiration": expires.and_then(|since| u64::try_from(since.as_millis()).ok()),
        }
    }))
}
