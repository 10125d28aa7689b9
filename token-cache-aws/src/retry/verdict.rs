//! [`Verdict`]: whether a response rejects the credentials of its request.

use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::rejected::{code_in_body, is_rejection};

pub(super) enum Verdict {
    Accepted,
    Rejected,
    /// The response to a `HEAD`, which has no body and so no error code
    /// ([HADOOP-18353](https://issues.apache.org/jira/browse/HADOOP-18353)).
    Unknown,
}

impl Verdict {
    pub(super) fn new(method: &Method, status: StatusCode, body: &[u8]) -> Self {
        match std::str::from_utf8(body).ok().and_then(code_in_body) {
            Some(code) if is_rejection(code) => Self::Rejected,
            Some(_) => Self::Accepted,
            None if status == StatusCode::UNAUTHORIZED => Self::Rejected,
            None if method == Method::HEAD => Self::Unknown,
            None => Self::Accepted,
        }
    }
}

/// Whether the body of a response with this status may contain a code that rejects the credentials.
pub(super) fn may_be_rejection(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Turns a `HEAD` into a `GET` of one byte, whose error response has a body.
pub(super) fn as_ranged_get<B>(mut request: Request<B>) -> Request<B> {
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_without_a_code_is_a_rejection_only_with_status_401() {
        let verdict =
            |method, status, body: &str| Verdict::new(&method, StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert!(matches!(verdict(Method::GET, 401, ""), Verdict::Rejected));
        assert!(matches!(verdict(Method::GET, 403, ""), Verdict::Accepted));
        assert!(matches!(verdict(Method::HEAD, 403, ""), Verdict::Unknown));
        assert!(matches!(verdict(Method::GET, 400, "<Code>ExpiredToken</Code>"), Verdict::Rejected));
        assert!(matches!(verdict(Method::GET, 403, "<Code>AccessDenied</Code>"), Verdict::Accepted));
    }
}
