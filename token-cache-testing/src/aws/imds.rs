//! The instance metadata service, version 2.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};
use s3s::Body;
use serde_json::json;

use super::clock;
use super::container::expiration;
use super::issuer::Issuer;
use super::keys::ROLE;
use super::routes::{bad_gateway, json, reply, text};
use super::state::SessionValidity;

pub(crate) const ROOT: &str = "/latest/";

pub(crate) const TOKEN: &str = "/latest/api/token";

/// What a path asks for under `security-credentials`: a role's name, or the
/// empty string for the list of roles.
pub(crate) fn role(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/latest/meta-data/iam/security-credentials")?;
    match rest {
        "" => Some(""),
        _ => rest.strip_prefix('/'),
    }
}

pub(crate) async fn answer(issuer: &Issuer, parts: &Parts, quality: SessionValidity) -> Response<Body> {
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
    let now = clock::monotonic();
    if !token.is_some_and(|token| issuer.with_tokens(|tokens| tokens.is_alive(token, now))) {
        return text(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    match role(path) {
        Some("") => text(StatusCode::OK, ROLE),
        Some(ROLE) => credentials(issuer, quality).await,
        _ if path == REGION => reply(StatusCode::OK, "text/plain", issuer.region().to_owned()),
        _ => text(StatusCode::NOT_FOUND, "not found"),
    }
}

/// The session tokens of IMDS that were given out.
#[derive(Default)]
pub(crate) struct Tokens {
    ends: HashMap<String, Instant>,
}

impl Tokens {
    fn issue(&mut self, ttl: Duration, now: Instant, rng: &mut impl Rng) -> String {
        self.ends.retain(|_, end| *end > now);
        let token = Alphanumeric.sample_string(rng, TOKEN_LENGTH);
        self.ends.insert(token.clone(), now + ttl);
        token
    }

    fn is_alive(&self, token: &str, now: Instant) -> bool {
        self.ends.get(token).is_some_and(|end| *end > now)
    }
}

fn token(issuer: &Issuer, parts: &Parts) -> Response<Body> {
    let ttl = parts
        .headers
        .get(TTL)
        .and_then(|ttl| ttl.to_str().ok())
        .and_then(|ttl| ttl.parse::<u32>().ok())
        .filter(|ttl| (1..=LONGEST_TTL).contains(ttl));
    let Some(ttl) = ttl else {
        return text(StatusCode::BAD_REQUEST, "the ttl must be 1 to 21600 seconds");
    };
    let lasts = Duration::from_secs(ttl.into());
    let token = issuer.with_tokens(|tokens| tokens.issue(lasts, clock::monotonic(), &mut rand::rng()));
    let mut response = reply(StatusCode::OK, "text/plain", token);
    response.headers_mut().insert(TTL, HeaderValue::from(ttl));
    response
}

async fn credentials(issuer: &Issuer, quality: SessionValidity) -> Response<Body> {
    let Some(session) = issuer.metadata_session(quality).await else { return bad_gateway() };
    let updated = session.issued_at().map(|at| humantime::format_rfc3339_seconds(at).to_string());
    json(&json!({
        "Code": "Success",
        "LastUpdated": updated,
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
const LONGEST_TTL: u32 = 21_600;

const TOKEN_LENGTH: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_its_ttl_and_no_longer() {
        let (mut tokens, now) = (Tokens::default(), clock::monotonic());
        let token = tokens.issue(Duration::from_secs(1), now, &mut rand::rng());
        assert!(tokens.is_alive(&token, now + Duration::from_millis(999)));
        assert!(!tokens.is_alive(&token, now + Duration::from_secs(1)));
        assert!(!tokens.is_alive("other", now));
    }

    #[test]
    fn a_role_is_told_from_the_list_of_roles() {
        assert_eq!(role("/latest/meta-data/iam/security-credentials"), Some(""));
        assert_eq!(role("/latest/meta-data/iam/security-credentials/"), Some(""));
        assert_eq!(role("/latest/meta-data/iam/security-credentials/one"), Some("one"));
        assert_eq!(role("/latest/meta-data/iam/security-credentials-extended/"), None);
        assert_eq!(role("/latest/meta-data/placement/region"), None);
    }
}
