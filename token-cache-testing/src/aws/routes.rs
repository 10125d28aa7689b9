//! Routes a request to the endpoint that answers it, after the delay and unless a fault is set.

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use s3s::Body;
use tokio::sync::watch;

use super::container;
use super::fault::Fault;
use super::imds;
use super::issuer::Issuer;
use super::serve::{Abort, Handler};
use super::sso;
use super::state::{IssuerCounts, SessionValidity};
use super::sts;

impl Handler for Issuer {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Abort> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "too large"));
        };
        let body = body.to_bytes();
        let endpoint = Endpoint::of(&parts, &body);

        // A fault on arrival counts even if it is cleared during the delay; so does one that is set during the delay.
        let (mut fault, due) = self.on_request(endpoint);
        if endpoint.returns_credentials() && !matches!(fault, Some(Fault::Down | Fault::Hang)) {
            self.sleep_until(due).await;
            fault = fault.or_else(|| self.fault());
        }
        let validity = match fault {
            None => SessionValidity::Valid,
            Some(Fault::Down) => return Err(Abort),
            Some(Fault::Expired) => SessionValidity::Expired,
            Some(Fault::Garbage) => return Ok(html(GARBAGE)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Status(status)) => return Ok(failure(endpoint, status)),
        };
        Ok(match endpoint {
            Endpoint::Container => container::answer(self, &parts, validity).await,
            Endpoint::ImdsCredentials | Endpoint::ImdsRole | Endpoint::ImdsToken => {
                imds::answer(self, &parts, validity).await
            }
            Endpoint::Sso => sso::answer(self, &parts, validity).await,
            Endpoint::AssumeRole | Endpoint::CallerIdentity | Endpoint::OtherSts => {
                sts::answer(self, parts, body, validity).await
            }
            Endpoint::Other if parts.uri.path().starts_with(imds::ROOT) => imds::answer(self, &parts, validity).await,
            Endpoint::Other => text(StatusCode::NOT_FOUND, "not found"),
        })
    }

    fn close_signal(&self) -> Option<watch::Receiver<()>> {
        Some(self.subscribe_close())
    }
}

/// The endpoint that a request addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    AssumeRole,
    CallerIdentity,
    Container,
    ImdsCredentials,
    ImdsRole,
    ImdsToken,
    Other,
    OtherSts,
    Sso,
}

impl Endpoint {
    fn of(parts: &Parts, body: &[u8]) -> Self {
        match (&parts.method, parts.uri.path()) {
            (&Method::POST, "/") => match sts::action(body).as_deref() {
                Some("AssumeRole") => Self::AssumeRole,
                Some("GetCallerIdentity") => Self::CallerIdentity,
                _ => Self::OtherSts,
            },
            (_, container::PATH) => Self::Container,
            (_, imds::TOKEN) => Self::ImdsToken,
            (_, sso::PATH) => Self::Sso,
            (_, path) => match imds::role(path) {
                Some("") => Self::ImdsRole,
                Some(_) => Self::ImdsCredentials,
                None => Self::Other,
            },
        }
    }

    pub(crate) fn returns_credentials(self) -> bool {
        matches!(self, Self::AssumeRole | Self::Container | Self::ImdsCredentials | Self::Sso)
    }

    /// Whether it returns credentials, or clients call it before an endpoint that does.
    pub(crate) fn leads_to_credentials(self) -> bool {
        self.returns_credentials() || matches!(self, Self::ImdsRole | Self::ImdsToken)
    }

    pub(crate) fn is_sts(self) -> bool {
        matches!(self, Self::AssumeRole | Self::CallerIdentity | Self::OtherSts)
    }

    pub(crate) fn count(self, counts: &mut IssuerCounts) -> &mut u64 {
        match self {
            Self::AssumeRole => &mut counts.assume_role,
            Self::CallerIdentity => &mut counts.caller_identity,
            Self::Container => &mut counts.container,
            Self::ImdsCredentials => &mut counts.imds_credentials,
            Self::ImdsRole => &mut counts.imds_role,
            Self::ImdsToken => &mut counts.imds_token,
            Self::Other | Self::OtherSts => &mut counts.other,
            Self::Sso => &mut counts.sso,
        }
    }
}

pub(crate) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    reply(status, "text/plain", Bytes::from_static(body.as_bytes()))
}

pub(crate) fn json(body: &serde_json::Value) -> Response<Body> {
    reply(StatusCode::OK, "application/json", body.to_string())
}

/// The session provider has no session.
pub(crate) fn bad_gateway() -> Response<Body> {
    text(StatusCode::BAD_GATEWAY, "no session could be minted")
}

fn html(body: &'static str) -> Response<Body> {
    reply(StatusCode::OK, "text/html", Bytes::from_static(body.as_bytes()))
}

/// The answer for [`Fault::Status`], in the error format of the endpoint.
fn failure(endpoint: Endpoint, status: u16) -> Response<Body> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match endpoint.is_sts() {
        true => sts::failure(status),
        false => text(status, status.canonical_reason().unwrap_or("failed")),
    }
}

/// In bytes. Many times what an `AssumeRole` may have.
const MAX_BODY: usize = 64 * 1024;

const GARBAGE: &str = "<html><body><h1>Welcome to the guest network</h1></body></html>";
