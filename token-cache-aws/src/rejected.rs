//! Whether a service has refused the credentials themselves, and not what was to be done with them.

#[cfg(feature = "_object_store")]
use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Whether a request has failed because its credentials are no longer accepted, so that others may help: ask the cache to
/// [`invalidate`](token_cache_core::TokenCache::invalidate) them.
///
/// True for a status of 401, and for the codes that AWS gives to credentials that have expired or are unknown, at whatever
/// status: S3 answers 400 `ExpiredToken` and `InvalidToken`, which object_store reports as `Error::Generic`, and 403
/// `InvalidAccessKeyId`. False for `AccessDenied`, `SignatureDoesNotMatch` and `RequestTimeTooSkewed`, which other credentials
/// of the same identity do not change, and for an answer without a code, as that to a `HEAD` is.
///
/// It takes the `Error` of any version of object_store whose feature is on, and the SDK's
/// [`SdkError`].
pub fn is_credential_rejected(error: &impl ServiceError) -> bool {
    error.rejects_credentials()
}

/// An error that [`is_credential_rejected`] can read.
pub trait ServiceError: sealed::Sealed {
    #[doc(hidden)]
    fn rejects_credentials(&self) -> bool;
}

mod sealed {
    #![allow(unnameable_types, reason = "that is what seals it")]

    /// Only this crate says what an error of a service is.
    pub trait Sealed {}
}

impl<E> sealed::Sealed for SdkError<E, HttpResponse> {}

impl<E: ProvideErrorMetadata> ServiceError for SdkError<E, HttpResponse> {
    fn rejects_credentials(&self) -> bool {
        let unauthorized = self.raw_response().is_some_and(|response| response.status().as_u16() == 401);
        let code = self.as_service_error().and_then(ProvideErrorMetadata::code);
        code.map_or(unauthorized, is_rejection)
    }
}

macro_rules! service_error {
    ($feature:literal, $object_store:ident) => {
        #[cfg(feature = $feature)]
        impl sealed::Sealed for $object_store::Error {}

        #[cfg(feature = $feature)]
        impl ServiceError for $object_store::Error {
            fn rejects_credentials(&self) -> bool {
                use $object_store::Error;
                match self {
                    Error::Unauthenticated { source, .. } => {
                        code_below(&**source).is_none_or(|code| is_rejection(&code))
                    }
                    Error::PermissionDenied { source, .. } | Error::Generic { source, .. } => {
                        code_below(&**source).is_some_and(|code| is_rejection(&code))
                    }
                    _ => false,
                }
            }
        }
    };
}

service_error!("object_store-0_12", object_store_0_12);
service_error!("object_store-0_13", object_store_0_13);
service_error!("object_store-0_14", object_store);

/// The code in what a service answered, which object_store keeps as text in the innermost error.
#[cfg(feature = "_object_store")]
fn code_below(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    code(&innermost.to_string()).map(ToOwned::to_owned)
}

/// The code in the body of an answer of S3.
#[cfg(feature = "_object_store")]
pub(crate) fn code(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.trim())
}

/// Whether a code means that the credentials themselves are no longer accepted.
pub(crate) fn is_rejection(code: &str) -> bool {
    REJECTIONS.contains(&code)
}

/// S3: `ExpiredToken`, `InvalidAccessKeyId`, `InvalidSecurity`, `InvalidToken`, `TokenRefreshRequired`. STS and the query
/// services: `ExpiredToken`, `InvalidClientTokenId`, `AuthFailure`. The JSON services: `ExpiredTokenException`,
/// `UnrecognizedClientException`.
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

    #[test]
    fn a_code_is_read_from_the_body_and_from_nowhere_else() {
        let body = "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Message>AccessDenied</Message></Error>";
        assert_eq!(code(body), Some("ExpiredToken"));
        assert_eq!(code("<Error><Code> InvalidToken\n</Code></Error>"), Some("InvalidToken"));
        for none in ["", "ExpiredToken", "<Code>ExpiredToken", "</Code><Code>"] {
            assert_eq!(code(none), None, "{none}");
        }
    }

    #[test]
    fn what_other_credentials_would_not_change_is_no_rejection() {
        for code in ["AccessDenied", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "NoSuchKey", "expiredtoken", ""] {
            assert!(!is_rejection(code), "{code}");
        }
    }
}
