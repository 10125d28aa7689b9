//! Authentication of requests: s3s checks the signature, the table of keys the key and the session token.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hyper::body::Bytes;
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, Uri};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpRequest, HttpResponse, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use token_cache_core::Clock;

use super::keys::{AccessKey, Keys, Rejection};

/// The table of keys that both services share, with the clock by which sessions expire.
#[derive(Clone)]
pub(crate) struct SharedKeys {
    keys: Arc<Mutex<Keys>>,
    clock: Arc<dyn Clock>,
}

impl SharedKeys {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { keys: Arc::default(), clock }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a request whose signature is valid, or that has none.
    pub(crate) fn check(
        &self,
        credentials: Option<&Credentials>,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> S3Result<AccessKey> {
        let Some(credentials) = credentials else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let (token, now) = (session_token(headers, uri), self.clock.now().wall());
        self.lock().check(&credentials.access_key, token.as_deref(), now).cloned().map_err(rejection_error)
    }
}

#[async_trait]
impl S3Auth for SharedKeys {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        match self.lock().get(id) {
            Some(key) => Ok(SecretKey::from(key.secret_access_key())),
            None => Err(rejection_error(Rejection::UnknownKey)),
        }
    }
}

/// Verifies the signatures of requests to STS. It is an S3 service with one route, which returns the key that signed.
#[derive(Clone)]
pub(crate) struct StsVerifier(S3Service);

impl StsVerifier {
    pub(crate) fn new(keys: SharedKeys) -> Self {
        let mut builder = S3ServiceBuilder::new(NoS3);
        builder.set_auth(keys.clone());
        builder.set_route(Caller { keys });
        Self(builder.build())
    }

    /// Returns the key that signed and the body.
    ///
    /// # Errors
    ///
    /// The error code that S3 uses.
    pub(crate) async fn verify(&self, parts: Parts, body: Bytes) -> Result<(AccessKey, Bytes), S3ErrorCode> {
        let request = HttpRequest::from_parts(parts, Body::from(body));
        let Ok(mut response) = self.0.call(request).await else {
            return Err(S3ErrorCode::InternalError);
        };
        if let Some(code) = error_code(&response) {
            return Err(code);
        }
        let Some(key) = response.extensions_mut().remove::<AccessKey>() else {
            return Err(S3ErrorCode::InternalError);
        };
        // Reading fails if the hash of the body is not the signed one.
        let body = response.body_mut().store_all_limited(usize::MAX).await;
        body.map(|body| (key, body)).map_err(|_| S3ErrorCode::SignatureDoesNotMatch)
    }
}

/// The code of an error response of s3s; `None` for a success.
pub(crate) fn error_code(response: &HttpResponse) -> Option<S3ErrorCode> {
    if response.status() < StatusCode::BAD_REQUEST {
        return None;
    }
    let body = response.body().bytes().unwrap_or_default();
    let code = std::str::from_utf8(&body)
        .ok()
        .and_then(|xml| xml.split_once("<Code>")?.1.split_once("</Code>"))
        .and_then(|(code, _)| S3ErrorCode::from_bytes(code.as_bytes()));
    Some(code.unwrap_or(S3ErrorCode::InternalError))
}

struct NoS3;

impl S3 for NoS3 {}

/// Answers every request with its own body and the key that signed it.
struct Caller {
    keys: SharedKeys,
}

#[async_trait]
impl S3Route for Caller {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        // `call` checks it, because it needs the key.
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let key = self.keys.check(request.credentials.as_ref(), &request.headers, &request.uri)?;
        if request.service.as_deref() != Some("sts") {
            return Err(s3_error!(SignatureDoesNotMatch));
        }
        let mut response = S3Response::new(request.input);
        response.extensions.insert(key);
        Ok(response)
    }
}

/// The session token of a signed request or a presigned URL.
fn session_token(headers: &HeaderMap, uri: &Uri) -> Option<Vec<u8>> {
    if let Some(token) = headers.get("x-amz-security-token") {
        return Some(token.as_bytes().to_vec());
    }
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, _)| name == "X-Amz-Security-Token")
        .map(|(_, token)| token.into_owned().into_bytes())
}

fn rejection_error(rejection: Rejection) -> S3Error {
    match rejection {
        Rejection::Expired => s3_error!(ExpiredToken, "The provided token has expired."),
        Rejection::UnknownKey => {
            s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        }
        Rejection::WrongToken => {
            s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.")
        }
    }
}
