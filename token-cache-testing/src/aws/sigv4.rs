//! Who signed a request: s3s checks the signature, the table of keys the rest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use hyper::body::Bytes;
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, Uri};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpRequest, HttpResponse, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::clock;
use super::keys::{AccessKey, Keys, Refusal};

/// The table of keys, as both services hold it.
#[derive(Clone, Default)]
pub(crate) struct SharedKeys(Arc<Mutex<Keys>>);

impl SharedKeys {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a request whose signature is good (or that has none).
    pub(crate) fn check(
        &self,
        credentials: Option<&Credentials>,
        headers: &HeaderMap,
        uri: &Uri,
        now: SystemTime,
    ) -> S3Result<AccessKey> {
        let Some(credentials) = credentials else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let token = session_token(headers, uri);
        self.lock().check(&credentials.access_key, token.as_deref(), now).cloned().map_err(refusal_error)
    }
}

#[async_trait]
impl S3Auth for SharedKeys {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        match self.lock().get(id) {
            Some(key) => Ok(SecretKey::from(key.secret_access_key())),
            None => Err(refusal_error(Refusal::UnknownKey)),
        }
    }
}

/// Verifies requests to STS: an S3 service whose only route says who called.
#[derive(Clone)]
pub(crate) struct StsVerifier(S3Service);

impl StsVerifier {
    pub(crate) fn new(keys: SharedKeys) -> Self {
        let mut builder = S3ServiceBuilder::new(NoS3);
        builder.set_auth(keys.clone());
        builder.set_route(Caller { keys });
        Self(builder.build())
    }

    /// The key that signed, and the body as it was signed; otherwise the
    /// error's code as S3 has it.
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
        // Reading fails if the body is not the one whose hash was signed.
        let body = response.body_mut().store_all_limited(usize::MAX).await;
        body.map(|body| (key, body)).map_err(|_| S3ErrorCode::SignatureDoesNotMatch)
    }
}

/// The code of an error that s3s answered; `None` for an answer that is none.
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

/// Answers every request with its own body, and who signed it.
struct Caller {
    keys: SharedKeys,
}

#[async_trait]
impl S3Route for Caller {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        // `call` does it, and keeps whom it found.
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let key = self.keys.check(request.credentials.as_ref(), &request.headers, &request.uri, clock::wall())?;
        if request.service.as_deref() != Some("sts") {
            return Err(s3_error!(SignatureDoesNotMatch));
        }
        let mut response = S3Response::new(request.input);
        response.extensions.insert(key);
        Ok(response)
    }
}

/// The token of a signed request, or of a presigned URL.
fn session_token(headers: &HeaderMap, uri: &Uri) -> Option<Vec<u8>> {
    if let Some(token) = headers.get("x-amz-security-token") {
        return Some(token.as_bytes().to_vec());
    }
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, _)| name == "X-Amz-Security-Token")
        .map(|(_, token)| token.into_owned().into_bytes())
}

fn refusal_error(refusal: Refusal) -> S3Error {
    match refusal {
        Refusal::Expired => s3_error!(ExpiredToken, "The provided token has expired."),
        Refusal::UnknownKey => {
            s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        }
        Refusal::WrongToken => {
            s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.")
        }
    }
}
