//! The container credentials endpoint of ECS and EKS.

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use s3s::Body;
use serde_json::json;

use super::issuer::Issuer;
use super::keys::{ACCOUNT, AccessKey, ROLE};
use super::routes::{bad_gateway, json, text};
use super::state::SessionValidity;

pub(crate) const PATH: &str = "/container";

pub(crate) async fn answer(issuer: &Issuer, parts: &Parts, validity: SessionValidity) -> Response<Body> {
    if parts.method != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    if let Some(required) = issuer.container_token() {
        match parts.headers.get(AUTHORIZATION) {
            None => return text(StatusCode::UNAUTHORIZED, "the authorization token is missing"),
            Some(token) if token.as_bytes() != required.as_bytes() => {
                return text(StatusCode::FORBIDDEN, "the authorization token is wrong");
            }
            Some(_) => {}
        }
    }
    let Some(session) = issuer.metadata_session(validity).await else { return bad_gateway() };
    json(&json!({
        "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
        "AccessKeyId": session.access_key_id(),
        "SecretAccessKey": session.secret_access_key(),
        "Token": session.session_token(),
        "Expiration": expiration(&session),
    }))
}

/// The expiry as RFC 3339 in UTC, with milliseconds: an expiry is a whole number of them.
pub(crate) fn expiration(session: &AccessKey) -> Option<String> {
    session.expires_at().map(|time| humantime::format_rfc3339_millis(time).to_string())
}
