//! [`RequestSignature`]: how a request was signed, read from its headers.
//!
//! The format is AWS Signature Version 4:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>.

use aws_credential_types::Credentials;
use http::{HeaderMap, HeaderValue, Request, header};

/// Has no `Debug`, because it holds a session token.
pub(super) struct RequestSignature {
    key_id: String,
    token: Option<HeaderValue>,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) payload: Payload,
}

pub(super) enum Payload {
    /// Signed, with this SHA-256 digest.
    Digest(Vec<u8>),
    Unsigned,
    /// Signed in a way that needs the body, such as a chunked upload.
    Other,
}

impl RequestSignature {
    /// `None`: the request is not signed, or belongs to an S3 Express session, which has its own credentials.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key("x-amz-s3session-token") {
            return None;
        }
        let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_, rest) = authorization.split_once("AWS4-HMAC-SHA256 Credential=")?;
        // KEY/DATE/REGION/SERVICE/aws4_request. Split from the end, because only the key can contain a slash.
        let mut scope = rest.split_once(',')?.0.rsplitn(5, '/');
        let (_, service, region, _) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        let key_id = scope.next()?;
        let payload = match headers.get("x-amz-content-sha256").and_then(|digest| digest.to_str().ok()) {
            Some("UNSIGNED-PAYLOAD") => Payload::Unsigned,
            Some(hex) => decode_sha256(hex).map_or(Payload::Other, Payload::Digest),
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

    /// Whether these credentials made the signature.
    pub(super) fn is_by(&self, credentials: &Credentials) -> bool {
        let token = self.token.as_ref().map(HeaderValue::as_bytes);
        self.key_id == credentials.access_key_id() && token == credentials.session_token().map(str::as_bytes)
    }
}

/// Removes the headers that signing adds, so that the request can be signed again.
pub(super) fn without_signature<B>(mut request: Request<B>) -> Request<B> {
    for name in ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"] {
        request.headers_mut().remove(name);
    }
    request
}

fn decode_sha256(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    (hex.len() == 64).then(|| hex.as_bytes().chunks_exact(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(authorization));
        headers
    }

    #[test]
    fn signature_is_read_from_the_headers() {
        let mut headers = headers(
            "AWS4-HMAC-SHA256 Credential=ASIA1/20261124/eu-north-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        );
        headers.insert("x-amz-security-token", HeaderValue::from_static("token"));
        headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        let signature = RequestSignature::from_headers(&headers).unwrap();
        assert_eq!((&*signature.region, &*signature.service), ("eu-north-1", "s3"));
        assert!(matches!(signature.payload, Payload::Unsigned));

        let is_by =
            |key, token: Option<&str>| signature.is_by(&Credentials::new(key, "", token.map(str::to_owned), None, ""));
        assert!(is_by("ASIA1", Some("token")));
        assert!(!is_by("ASIA1", Some("other")) && !is_by("ASIA1", None) && !is_by("ASIA2", Some("token")));
    }

    #[test]
    fn key_id_may_contain_slashes() {
        let headers = headers("AWS4-HMAC-SHA256 Credential=team/a/key/20261124/r/s3/aws4_request, SignedHeaders=host");
        let signature = RequestSignature::from_headers(&headers).unwrap();
        assert!(signature.is_by(&Credentials::new("team/a/key", "", None, None, "")));
        assert_eq!((&*signature.region, &*signature.service), ("r", "s3"));
    }

    #[test]
    fn requests_without_a_key_and_scope_are_ignored() {
        assert!(RequestSignature::from_headers(&HeaderMap::new()).is_none());
        for authorization in
            ["Bearer token", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b,", "AWS a:b"]
        {
            assert!(RequestSignature::from_headers(&headers(authorization)).is_none(), "{authorization}");
        }
        let mut express =
            headers("AWS4-HMAC-SHA256 Credential=A/20261124/r/s3express/aws4_request, SignedHeaders=, Signature=");
        assert!(RequestSignature::from_headers(&express).is_some());
        express.insert("x-amz-s3session-token", HeaderValue::from_static("session"));
        assert!(RequestSignature::from_headers(&express).is_none());
    }

    #[test]
    fn digest_is_decoded_from_hexadecimal() {
        let hex = format!("00ff7F{}", "0".repeat(58));
        assert_eq!(decode_sha256(&hex).unwrap()[..4], [0, 255, 127, 0]);
        for invalid in ["", "00", "zz", &"zz".repeat(32), &"é".repeat(32)] {
            assert!(decode_sha256(invalid).is_none(), "{invalid}");
        }
    }
}
