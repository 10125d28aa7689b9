//! [`Verdict`]: whether a response rejects the credentials of its request.

use http::response::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::error_body::ErrorBody;
use crate::rejected::{code_in_body, is_rejection, short_code};

pub(super) enum Verdict {
    Accepted,
    Rejected,
    /// The response to a `HEAD`, which has no body and so no error code
    /// ([HADOOP-18353](https://issues.apache.org/jira/browse/HADOOP-18353)).
    Unknown,
}

impl Verdict {
    pub(super) fn new(method: &Method, parts: &Parts, body: &ErrorBody) -> Self {
        let in_header = || parts.headers.get("x-amzn-errortype")?.to_str().ok().map(short_code);
        let in_body = || body.is_whole.then(|| std::str::from_utf8(&body.bytes).ok().and_then(code_in_body)).flatten();
        match in_body().or_else(in_header) {
            Some(code) if is_rejection(code) => Self::Rejected,
            None if method == Method::HEAD => Self::Unknown,
            Some(_) | None => Self::Accepted,
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
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn verdict(method: Method, status: u16, error_type: &str, body: &str, is_whole: bool) -> Verdict {
        let mut response = http::Response::builder().status(status);
        if !error_type.is_empty() {
            response = response.header("x-amzn-errortype", error_type);
        }
        let response = response.body(()).unwrap();
        let body = ErrorBody { bytes: body.into(), is_whole };
        Verdict::new(&method, &response.into_parts().0, &body)
    }

    #[test]
    fn only_the_code_of_a_whole_response_rejects() {
        let expired = "<Error><Code>ExpiredToken</Code></Error>";
        assert!(matches!(verdict(Method::GET, 400, "", expired, true), Verdict::Rejected));
        assert!(matches!(verdict(Method::GET, 400, "", expired, false), Verdict::Accepted));
        assert!(matches!(verdict(Method::GET, 403, "", "<Code>AccessDenied</Code>", true), Verdict::Accepted));
        assert!(matches!(verdict(Method::GET, 401, "", "", true), Verdict::Accepted), "a proxy may have sent it");
        assert!(matches!(verdict(Method::HEAD, 401, "", "", true), Verdict::Unknown));
        assert!(matches!(verdict(Method::HEAD, 403, "ExpiredTokenException:http://a/", "", true), Verdict::Rejected));
        let json = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ExpiredTokenException","message":"expired"}"#;
        assert!(matches!(verdict(Method::POST, 400, "", json, true), Verdict::Rejected));
    }
}
