//! The instance metadata service, version 2.

use std::collections::HashMap;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};
use s3s::Body;
use serde_json::json;

use super::container::expiration;
use super::issuer::Issuer;
use super::routes::{bad_gateway, json, reply, text};
use super::state::SessionValidity;

pub(crate) const ROOT: &str = "/latest/";

pub(crate) const TOKEN: &str = "/latest/api/token";

/// The name of the role whose credentials a path requests; empty for the list of roles.
pub(crate) fn role(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/latest/meta-data/iam/security-credentials")?;
    match rest {
        "" => Some(""),
        _ => rest.strip_prefix('/'),
    }
}

pub(crate) async fn answer(issuer: &Issuer, parts: &Parts, validity: SessionValidity) -> Response<Body> {
    let path = parts.uri.path();
    if path == TOKEN {
        return match parts.method {
            Method::PUT => token(issuer, parts),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        };
    }
    if parts.method != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    let token = parts.headers.get("x-aws-ec2-metadata-token").and_then(|token| token.to_str().ok());
    if !token.is_some_and(|token| issuer.with_tokens(|tokens, now| tokens.is_valid(token, now))) {
        return text(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    match role(path) {
        Some("") => reply(StatusCode::OK, "text/plain", issuer.instance_role()),
        Some(role) if role == issuer.instance_role() => credentials(issuer, validity).await,
        _ if path == REGION => reply(StatusCode::OK, "text/plain", issuer.region().to_owned()),
        _ => text(StatusCode::NOT_FOUND, "not found"),
    }
}

/// The IMDS session tokens issued so far, by monotonic time.
#[derive(Default)]
pub(crate) struct Tokens {
    ends: HashMap<String, Duration>,
}

impl Tokens {
    fn issue(&mut self, ttl: Duration, now: Duration, rng: &mut impl Rng) -> String {
        self.ends.retain(|_, end| *end > now);
        let token = Alphanumeric.sample_string(rng, TOKEN_LENGTH);
        self.ends.insert(token.clone(), now.saturating_add(ttl));
        token
    }

    fn is_valid(&self, token: &str, now: Duration) -> bool {
        self.ends.get(token).is_some_and(|end| *end > now)
    }
}

fn token(issuer: &Issuer, parts: &Parts) -> Response<Body> {
    let ttl = parts
        .headers
        .get(TTL)
        .and_then(|ttl| ttl.to_str().ok())
        .and_then(|ttl| ttl.parse::<u32>().ok())
        .filter(|ttl| (1..=MAX_TTL).contains(ttl));
    let Some(ttl) = ttl else {
        return text(StatusCode::BAD_REQUEST, "the ttl must be 1 to 21600 seconds");
    };
    let lifetime = Duration::from_secs(ttl.into());
    let token = issuer.with_tokens(|tokens, now| tokens.issue(lifetime, now, &mut rand::rng()));
    let mut response = reply(StatusCode::OK, "text/plain", token);
    response.headers_mut().insert(TTL, HeaderValue::from(ttl));
    response
}

async fn credentials(issuer: &Issuer, validity: SessionValidity) -> Response<Body> {
    let Some(session) = issuer.metadata_session(validity).await else { return bad_gateway() };
    let updated = session.issued_at().unwrap_or_else(|| issuer.wall());
    json(&json!({
        "Code": "Success",
        "LastUpdated": humantime::format_rfc3339_seconds(updated).to_string(),
        "Type": "AWS-HMAC",
        "AccessKeyId": session.access_key_id(),
        "SecretAccessKey": session.secret_access_key(),
        "Token": session.session_token(),
        "Expiration": expiration(&session),
    }))
}

const REGION: &str = "/latest/meta-data/placement/region";

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Six hours, in seconds.
const MAX_TTL: u32 = 21_600;

const TOKEN_LENGTH: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_its_ttl() {
        let (mut tokens, now) = (Tokens::default(), Duration::from_secs(100));
        let token = tokens.issue(Duration::from_secs(1), now, &mut rand::rng());
        assert!(tokens.is_valid(&token, now + Duration::from_millis(999)));
        assert!(!tokens.is_valid(&token, now + Duration::from_secs(1)));
        assert!(!tokens.is_valid("other", now));
    }

    #[test]
    fn a_path_names_a_role_or_the_list_of_roles() {
        assert_eq!(role("/latest/meta-data/iam/security-credentials"), Some(""));
        assert_eq!(role("/latest/meta-data/iam/security-credentials/"), Some(""));
        assert_eq!(role("/latest/meta-data/iam/security-credentials/one"), Some("one"));
        assert_eq!(role("/latest/meta-data/iam/security-credentials-extended/"), None);
        assert_eq!(role("/latest/meta-data/placement/region"), None);
    }
}
