//! The error codes of AWS and of compatible services that reject credentials.

/// The code in the body of an error response: in XML, as from S3, or in JSON, as from DynamoDB.
#[cfg(feature = "_object_store")]
pub(crate) fn code_in_body(body: &str) -> Option<&str> {
    match body.split_once("<Code>") {
        Some((_, rest)) => rest.split_once("</Code>").map(|(code, _)| code.trim()),
        None if body.trim_start().starts_with('{') => {
            JSON_FIELDS.iter().find_map(|field| json_string(body, field)).map(short_code)
        }
        None => None,
    }
}

/// The value of the first string field of this name. The codes contain no escapes.
#[cfg(feature = "_object_store")]
fn json_string<'a>(json: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(field)?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    value.split_once('"').map(|(value, _)| value)
}

/// The code without its namespace (`com.amazonaws.dynamodb.v20120810#ExpiredTokenException`) and without the URL that may
/// follow it (`ExpiredTokenException:http://internal.amazon.com/`)
/// (<https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>).
#[cfg(feature = "_object_store")]
pub(crate) fn short_code(code: &str) -> &str {
    let code = code.split_once(':').map_or(code, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code).trim()
}

/// Whether a code means that the credentials are no longer accepted.
pub(crate) fn is_rejection(code: &str) -> bool {
    REJECTIONS.contains(&code)
}

/// - S3: `ExpiredToken`, `InvalidAccessKeyId`, `InvalidSecurity`, `InvalidToken`, `TokenRefreshRequired`
///   (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>)
/// - STS and the query protocol: `ExpiredToken`, `InvalidClientTokenId`
///   (<https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>)
/// - EC2: `AuthFailure`, `RequestExpired`, as for an ended session
///   (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>)
/// - JSON protocols, such as DynamoDB's: `ExpiredTokenException`, `UnrecognizedClientException`
/// - MinIO: `InvalidTokenId`. Cloudflare R2: `Unauthorized`
///   (<https://developers.cloudflare.com/r2/api/error-codes/>)
///
/// SeaweedFS, Ceph and the S3 interface of Google Cloud Storage use the codes of S3.
const REJECTIONS: [&str; 12] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidToken",
    "InvalidTokenId",
    "RequestExpired",
    "TokenRefreshRequired",
    "Unauthorized",
    "UnrecognizedClientException",
];

/// The names under which AWS and others send a code in JSON.
#[cfg(feature = "_object_store")]
const JSON_FIELDS: [&str; 3] = ["\"__type\"", "\"code\"", "\"Code\""];

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "_object_store")]
    #[test]
    fn code_is_read_from_the_code_element_only() {
        let body = "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Message>AccessDenied</Message></Error>";
        assert_eq!(code_in_body(body), Some("ExpiredToken"));
        assert_eq!(code_in_body("<Error><Code> InvalidToken\n</Code></Error>"), Some("InvalidToken"));
        for body in ["", "ExpiredToken", "<Code>ExpiredToken", "</Code><Code>"] {
            assert_eq!(code_in_body(body), None, "{body}");
        }
    }

    /// <https://github.com/aws/aws-sdk-go/issues/253>, <https://github.com/aws/aws-sdk-ruby/issues/143>
    #[cfg(feature = "_object_store")]
    #[test]
    fn codes_of_each_protocol_are_read() {
        for (body, code) in [
            (r#"{"__type":"com.amazonaws.dynamodb.v20120810#ExpiredTokenException"}"#, "ExpiredTokenException"),
            (r#" {"message": "no", "code" : "InvalidToken"}"#, "InvalidToken"),
            (r#"{"Code":"RequestExpired:http://internal.amazon.com/coral/"}"#, "RequestExpired"),
            ("<Response><Errors><Error><Code>RequestExpired</Code></Error></Errors></Response>", "RequestExpired"),
        ] {
            assert_eq!(code_in_body(body), Some(code));
            assert!(is_rejection(code), "{code}");
        }
        for body in
            [r#"{"__type":7}"#, r#"{"__type":"Expired"#, "{}", r#"["code"]"#, r#"{"message":"code: ExpiredToken"}"#]
        {
            assert_eq!(code_in_body(body), None, "{body}");
        }
    }

    #[test]
    fn errors_that_new_credentials_cannot_fix_are_no_rejection() {
        for code in ["AccessDenied", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "NoSuchKey", "expiredtoken", ""] {
            assert!(!is_rejection(code), "{code}");
        }
    }
}
