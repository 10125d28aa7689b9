//! [`RetryRejected`]: a request that was refused for its credentials is signed anew and sent once more.

use std::sync::Arc;

use aws_credential_types::Credentials;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

use crate::cache::AwsTokenCache;
use crate::rejected::{code, is_rejection};

/// A connector of object_store that asks again where S3 has rejected the credentials of a request, from
/// [`AwsTokenCache::retry_rejected`].
#[derive(Clone, Debug)]
pub struct RetryRejected<C> {
    connector: C,
    aws: AwsTokenCache,
}

impl AwsTokenCache {
    /// Puts a retry under a store: where S3 rejects the credentials of a request ([`is_credential_rejected`]), they are
    /// [invalidated](token_cache_core::TokenCache::invalidate), and the request is signed with new ones and sent once more.
    ///
    /// ```no_run
    /// use object_store::aws::AmazonS3Builder;
    /// use object_store::client::ReqwestConnector;
    ///
    /// # async fn example() -> object_store::Result<()> {
    /// let aws = token_cache_aws::AwsTokenCache::from_env().await;
    /// let store = aws
    ///     .configure(AmazonS3Builder::new().with_bucket_name("bucket"))
    ///     .with_http_connector(aws.retry_rejected(ReqwestConnector::default()))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It works below the store, on single HTTP requests. So it covers all that a store does: one part of an upload is
    /// sent again and not the upload, one page of a listing and not what was listed before, and a stream goes on where it
    /// is. What was rejected has done nothing at the server, so nothing is done twice, a conditional write included.
    ///
    /// A `HEAD` is answered without a body, and so without a reason: a 400 or a 403 to it costs one more request, the same
    /// as a `GET` of one byte, to learn it.
    ///
    /// Left alone are requests that are not signed, those of S3 Express sessions, and presigned URLs. Where no new
    /// credentials can be had, the answer of S3 stands; so it does when they are the same again.
    ///
    /// Use it on stores whose credentials come from this cache, as [`configure`](Self::configure) sets them: it signs with
    /// no others. The signature is object_store's own, so on 0.14 without one of its crypto features, the answer stands.
    ///
    /// [`is_credential_rejected`]: crate::is_credential_rejected
    pub fn retry_rejected<C>(&self, connector: C) -> RetryRejected<C> {
        RetryRejected { connector, aws: self.clone() }
    }

    /// Other credentials than those that signed a request, which were rejected.
    async fn others_than(&self, signed: &Signed) -> Option<Arc<Credentials>> {
        if let Some(current) = self.signer(signed) {
            self.cache().invalidate(&current);
        }
        self.get().await.ok().filter(|others| !signed.is_by(others))
    }

    /// The credentials that signed a request, unless they were replaced in the meantime.
    fn signer(&self, signed: &Signed) -> Option<Arc<Credentials>> {
        self.cache().peek().filter(|current| signed.is_by(current))
    }
}

/// What the headers of a request say of its signature. It holds a session token, so it has no `Debug`.
struct Signed {
    key_id: String,
    token: Option<HeaderValue>,
    region: String,
    service: String,
    payload: Payload,
}

/// How a payload was signed.
enum Payload {
    /// By this digest.
    Digest(Vec<u8>),
    /// Not at all.
    Unsigned,
    /// In a way that is read from the body.
    Other,
}

impl Signed {
    fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key("x-amz-s3session-token") {
            return None;
        }
        let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_, rest) = authorization.split_once("AWS4-HMAC-SHA256 Credential=")?;
        // KEY/DATE/REGION/SERVICE/aws4_request, where all that might contain a slash is the key.
        let mut scope = rest.split_once(',')?.0.rsplit('/');
        let (_, service, region, _) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        let key_id = rest.split_once('/')?.0;
        let payload = match headers.get("x-amz-content-sha256").and_then(|digest| digest.to_str().ok()) {
            Some("UNSIGNED-PAYLOAD") => Payload::Unsigned,
            Some(hex) => from_hex(hex).map_or(Payload::Other, Payload::Digest),
            None => Payload::Other,
        };
        Some(Self {
            key_id: key_id.to_owned(),
            token: headers.get("x-amz-security-token").cloned(),
            region: region.to_owned(),
            service: service.to_owned(),
            payload,
        })
    }

    fn is_by(&self, credentials: &Credentials) -> bool {
        let token = self.token.as_ref().map(HeaderValue::as_bytes);
        self.key_id == credentials.access_key_id() && token == credentials.session_token().map(str::as_bytes)
    }
}

/// Whether an answer tells that the credentials of its request were rejected.
enum Verdict {
    Accepted,
    Rejected,
    /// It has no body to tell.
    Silent,
}

impl Verdict {
    fn of(method: &Method, status: StatusCode, body: &[u8]) -> Self {
        match std::str::from_utf8(body).ok().and_then(code) {
            Some(code) if is_rejection(code) => Self::Rejected,
            Some(_) => Self::Accepted,
            None if status == StatusCode::UNAUTHORIZED => Self::Rejected,
            None if method == Method::HEAD => Self::Silent,
            None => Self::Accepted,
        }
    }
}

/// Whether it is worth reading the body of an answer.
fn may_be_rejection(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The request that a `HEAD` has to be for the answer to have a body.
fn with_a_body<B>(mut request: Request<B>) -> Request<B> {
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
    request
}

/// Removes what a signature has put there; what is left is signed with the next one.
fn without_signature<B>(mut request: Request<B>) -> Request<B> {
    for name in ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"] {
        request.headers_mut().remove(name);
    }
    request
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    (hex.len() == 64).then(|| hex.as_bytes().chunks_exact(2).map(pair).collect())?
}

macro_rules! connector {
    ($feature:literal, $object_store:ident, $version:ident, $authorize:expr) => {
        #[cfg(feature = $feature)]
        mod $version {
            use async_trait::async_trait;
            use aws_credential_types::Credentials;
            use $object_store::aws::AwsAuthorizer;
            use $object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
            use $object_store::{ClientOptions, Result};

            use super::*;
            use crate::provider::$version::convert;

            impl<C: HttpConnector> HttpConnector for RetryRejected<C> {
                fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
                    let client = self.connector.connect(options)?;
                    Ok(HttpClient::new(Service { client, aws: self.aws.clone() }))
                }
            }

            #[derive(Debug)]
            struct Service {
                client: HttpClient,
                aws: AwsTokenCache,
            }

            #[async_trait]
            impl HttpService for Service {
                async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
                    let Some(signed) = Signed::of(request.headers()) else {
                        return self.client.execute(request).await;
                    };
                    let again = request.clone();
                    let response = self.client.execute(request).await?;
                    if !may_be_rejection(response.status()) {
                        return Ok(response);
                    }
                    let (parts, body) = response.into_parts();
                    let body = body.bytes().await?;
                    let rejected = match Verdict::of(again.method(), parts.status, &body) {
                        Verdict::Accepted => false,
                        Verdict::Rejected => true,
                        Verdict::Silent => self.was_rejected(&again, &signed).await,
                    };
                    if rejected
                        && let Some(others) = self.aws.others_than(&signed).await
                        && let Some(request) = sign(again, &signed, &others)
                    {
                        return self.client.execute(request).await;
                    }
                    Ok(HttpResponse::from_parts(parts, body.into()))
                }
            }

            impl Service {
                /// Asks for the reason that the answer to a `HEAD` does not tell.
                async fn was_rejected(&self, request: &HttpRequest, signed: &Signed) -> bool {
                    // With others at hand they are the ones to try.
                    let Some(signer) = self.aws.signer(signed) else { return true };
                    let Some(request) = sign(with_a_body(request.clone()), signed, &signer) else { return false };
                    let Ok(response) = self.client.execute(request).await else { return false };
                    let status = response.status();
                    if !may_be_rejection(status) {
                        return false;
                    }
                    let body = response.into_body().bytes().await.unwrap_or_default();
                    matches!(Verdict::of(&Method::GET, status, &body), Verdict::Rejected)
                }
            }

            fn sign(request: HttpRequest, signed: &Signed, credentials: &Credentials) -> Option<HttpRequest> {
                let credential = convert(credentials);
                let digest = match &signed.payload {
                    Payload::Digest(digest) => Some(&digest[..]),
                    Payload::Unsigned | Payload::Other => None,
                };
                let authorizer = AwsAuthorizer::new(&credential, &signed.service, &signed.region)
                    .with_sign_payload(!matches!(signed.payload, Payload::Unsigned));
                // What differs between the versions.
                let authorize: fn(&AwsAuthorizer<'_>, &mut HttpRequest, Option<&[u8]>) -> bool = $authorize;
                let mut request = without_signature(request);
                authorize(&authorizer, &mut request, digest).then_some(request)
            }
        }
    };
}

connector!("object_store-0_12", object_store_0_12, v0_12, |authorizer, request, digest| {
    authorizer.authorize(request, digest);
    true
});
connector!("object_store-0_13", object_store_0_13, v0_13, |authorizer, request, digest| {
    authorizer.authorize(request, digest);
    true
});
connector!("object_store-0_14", object_store, v0_14, |authorizer, request, digest| {
    authorizer.try_authorize(request, digest).is_ok()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(authorization));
        headers
    }

    #[test]
    fn a_signature_is_read_from_the_headers() {
        let mut headers = headers(
            "AWS4-HMAC-SHA256 Credential=ASIA1/20261124/eu-north-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        );
        headers.insert("x-amz-security-token", HeaderValue::from_static("token"));
        headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        let signed = Signed::of(&headers).unwrap();
        assert_eq!((&*signed.region, &*signed.service), ("eu-north-1", "s3"));
        assert!(matches!(signed.payload, Payload::Unsigned));

        let by =
            |key, token: Option<&str>| signed.is_by(&Credentials::new(key, "", token.map(str::to_owned), None, ""));
        assert!(by("ASIA1", Some("token")));
        assert!(!by("ASIA1", Some("other")) && !by("ASIA1", None) && !by("ASIA2", Some("token")));
    }

    #[test]
    fn what_is_not_signed_with_a_key_and_a_scope_is_left_alone() {
        assert!(Signed::of(&HeaderMap::new()).is_none());
        for authorization in
            ["Bearer token", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b,", "AWS a:b"]
        {
            assert!(Signed::of(&headers(authorization)).is_none(), "{authorization}");
        }
        let mut express =
            headers("AWS4-HMAC-SHA256 Credential=A/20261124/r/s3express/aws4_request, SignedHeaders=, Signature=");
        assert!(Signed::of(&express).is_some());
        express.insert("x-amz-s3session-token", HeaderValue::from_static("session"));
        assert!(Signed::of(&express).is_none());
    }

    #[test]
    fn a_digest_is_read_as_hexadecimal() {
        let hex = format!("00ff7F{}", "0".repeat(58));
        assert_eq!(from_hex(&hex).unwrap()[..4], [0, 255, 127, 0]);
        for none in ["", "00", "zz", &"zz".repeat(32), &"é".repeat(32)] {
            assert!(from_hex(none).is_none(), "{none}");
        }
    }

    #[test]
    fn an_answer_without_a_reason_is_a_rejection_only_where_its_status_says_so() {
        let verdict =
            |method, status, body: &str| Verdict::of(&method, StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert!(matches!(verdict(Method::GET, 401, ""), Verdict::Rejected));
        assert!(matches!(verdict(Method::GET, 403, ""), Verdict::Accepted));
        assert!(matches!(verdict(Method::HEAD, 403, ""), Verdict::Silent));
        assert!(matches!(verdict(Method::GET, 400, "<Code>ExpiredToken</Code>"), Verdict::Rejected));
        assert!(matches!(verdict(Method::GET, 403, "<Code>AccessDenied</Code>"), Verdict::Accepted));
    }
}
