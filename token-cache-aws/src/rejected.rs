//! [`is_credential_rejected`]: whether a service rejected the credentials themselves.

mod code;

#[cfg(feature = "_object_store")]
use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub(crate) use crate::rejected::code::is_rejection;
#[cfg(feature = "_object_store")]
pub(crate) use crate::rejected::code::{code_in_body, short_code};

/// Whether a request failed because its credentials are no longer accepted, so that new credentials may succeed. If so,
/// [`invalidate`](token_cache_core::TokenCache::invalidate) the credentials and repeat the request.
///
/// `true` for the codes that AWS returns for expired or unknown credentials, whatever the status: S3 answers
/// `ExpiredToken` and `InvalidToken` with 400, which object_store reports as `Error::Generic`, and
/// `InvalidAccessKeyId` with 403. The codes of compatible services count too, and those of DynamoDB, which are in JSON.
///
/// `false` for `AccessDenied`, `SignatureDoesNotMatch` and `RequestTimeTooSkewed`: new credentials of the same
/// identity would be refused as well. Also `false` for a response without a code, such as that to a `HEAD`, whatever
/// its status: a 401 without a code may come from a proxy.
///
/// It accepts the `Error` of every object_store version whose feature is enabled, and the SDK's [`SdkError`].
///
/// ```
/// # use object_store::{ObjectStoreExt, aws::AmazonS3Builder, path::Path};
/// # use token_cache_aws::is_credential_rejected;
/// # use token_cache_aws::AwsTokenCache;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
/// # kit.s3().create_bucket("bucket")?;
/// # let config = kit.sdk_config();
/// # let aws = AwsTokenCache::from_sdk_config(&config)?;
/// # let role = token_cache_aws::AssumeRole::new("arn:aws:iam::222222222222:role/reader");
/// # let aws = aws.assume_role(&role).await;
/// let store = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
/// store.put(&Path::from("object"), "".into()).await?;
/// kit.issuer().end_sessions();
/// let error = store.get(&Path::from("object")).await.unwrap_err();
/// assert!(is_credential_rejected(&error));
/// # Ok(())
/// # }
/// ```
pub fn is_credential_rejected(error: &impl ServiceError) -> bool {
    error.rejects_credentials()
}

/// An error that [`is_credential_rejected`] can classify.
pub trait ServiceError: sealed::Sealed {
    #[doc(hidden)]
    fn rejects_credentials(&self) -> bool;
}

mod sealed {
    #![allow(unnameable_types, reason = "this seals the trait")]

    /// Prevents implementations in other crates.
    pub trait Sealed {}
}

impl<E> sealed::Sealed for SdkError<E, HttpResponse> {}

impl<E: ProvideErrorMetadata> ServiceError for SdkError<E, HttpResponse> {
    fn rejects_credentials(&self) -> bool {
        self.as_service_error().and_then(ProvideErrorMetadata::code).is_some_and(is_rejection)
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
                    Error::Unauthenticated { source, .. }
                    | Error::PermissionDenied { source, .. }
                    | Error::Generic { source, .. } => code_in_error(&**source).is_some_and(|code| is_rejection(&code)),
                    _ => false,
                }
            }
        }
    };
}

service_error!("object_store-0_12", object_store_0_12);
service_error!("object_store-0_13", object_store_0_13);
service_error!("object_store-0_14", object_store);

/// The code in a service's response. object_store exposes the response only as the text of the innermost error.
#[cfg(feature = "_object_store")]
fn code_in_error(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    code_in_body(&innermost.to_string()).map(ToOwned::to_owned)
}
