//! The error codes of AWS that reject credentials.

/// The code in the XML body of an S3 error response.
#[cfg(feature = "_object_store")]
pub(crate) fn code_in_body(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.trim())
}

/// Whether a code means that the credentials are no longer accepted.
pub(crate) fn is_rejection(code: &str) -> bool {
    REJECTIONS.contains(&code)
}

/// - S3: `ExpiredToken`, `InvalidAccessKeyId`, `InvalidSecurity`, `InvalidToken`, `TokenRefreshRequired`
///   (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>)
/// - STS and the query protocol: `AuthFailure`, `ExpiredToken`, `InvalidClientTokenId`
///   (<https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>)
/// - JSON protocols: `ExpiredTokenException`, `UnrecognizedClientException`
const REJECTIONS: [&str; 9] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidToken",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

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

    #[test]
    fn errors_that_new_credentials_cannot_fix_are_no_rejection() {
        for code in ["AccessDenied", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "NoSuchKey", "expiredtoken", ""] {
            assert!(!is_rejection(code), "{code}");
        }
    }
}
