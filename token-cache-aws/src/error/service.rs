//! [`link`]: errors of STS, SSO and the instance metadata service, with the status and code of the response.

use std::error::Error as StdError;

use aws_config::imds::client::error::{ImdsError, TokenError};
#[cfg(feature = "sso")]
use aws_sdk_sso::operation::get_role_credentials::GetRoleCredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

use super::error_chain::Link;
use super::sdk_messages::{SdkMessage, without_quote};

/// Replaces the `Display` of the SDK's service errors, which contains either too little or the whole response. `None`
/// for all other errors.
pub(super) fn link<'a>(error: &'a (dyn StdError + 'static)) -> Option<Link<'a>> {
    if let Some(ImdsError::ErrorResponse(context)) = error.downcast_ref() {
        return Some((format!("it has answered {}", context.response().status().as_u16()), None));
    }
    if let Some(SdkError::ServiceError(context)) = error.downcast_ref::<SdkError<TokenError, HttpResponse>>() {
        return Some((format!("it has answered {}: {}", context.raw().status().as_u16(), context.err()), None));
    }
    #[cfg(feature = "sso")]
    if let Some(error) = error.downcast_ref::<SdkError<GetRoleCredentialsError, HttpResponse>>() {
        return Some(service_link("SSO", error));
    }
    if let Some(error) = error.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
        return Some(service_link("STS", error));
    }
    let error = error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>()?;
    Some(service_link("STS", error))
}

fn service_link<'a, E>(service: &str, error: &'a SdkError<E, HttpResponse>) -> Link<'a>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let SdkError::ServiceError(context) = error else {
        let failure = match error {
            SdkError::TimeoutError(_) => "has not answered in time",
            SdkError::ResponseError(_) => "has not answered in full",
            _ => "could not be asked",
        };
        return (format!("{service} {failure}"), error.source());
    };
    let (status, error) = (context.raw().status().as_u16(), context.err());
    if let Some(code) = error.code() {
        let message = error.message().map_or_else(String::new, |message| format!(": {message}"));
        return (format!("{service} has refused ({status} {code}){message}"), None);
    }
    let answered = format!("{service} has answered {status}");
    let Some(source) = error.source() else { return (format!("{answered} without a reason"), None) };
    if let Some(metadata) = source.downcast_ref::<ErrorMetadata>() {
        let reason =
            metadata.message().map_or_else(|| " without a reason".to_owned(), |message| format!(": {message}"));
        return (answered + &reason, None);
    }
    let text = source.to_string();
    if SdkMessage::StsExpiration.is_in(&text) {
        return (format!("{answered}, but its Expiration is not a date"), None);
    }
    (format!("{answered}, but not with credentials: {}", without_quote(&text)), source.source())
}
